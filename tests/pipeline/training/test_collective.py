"""Two processes that train together come to the same weights, which are those of one process."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.settings import ROOT

pytestmark = pytest.mark.process

SCRIPT = Path(__file__).with_name("collective_node.py")
SPEC = importlib.util.spec_from_file_location("collective_node", SCRIPT)
NODE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(NODE)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of a finished training on two nodes."""
    folder = tmp_path_factory.mktemp("nodes")
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    quiet = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    started = []
    for index in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, **quiet, "TF_CONFIG": json.dumps(config)}
        with (folder / f"log-{index}.txt").open("w") as log:
            command = [sys.executable, str(SCRIPT), str(folder)]
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    codes = [process.wait(timeout=500) for process in started]
    assert [0, 0] == codes, (folder / "log-0.txt").read_text()[-3000:]
    return folder


def saved(out, name):
    with np.load(out / f"{name}.npz") as found:
        return dict(found)


def said(out, index):
    return json.loads((out / f"said-{index}.json").read_text())


def test_nodes_take_the_steps_of_a_single_process(out, tmp_path):
    # Batches of all rows: what nodes see together is what one process sees, whatever the order.
    NODE.devices.configure(NODE.CONFIG)
    at_first = NODE.weights(NODE.trained(tmp_path / "first", epochs=0))
    NODE.devices.configure(NODE.CONFIG)
    alone = NODE.weights(NODE.trained(tmp_path / "alone"))
    together = saved(out, "whole-0")
    assert sorted(alone) == sorted(together)
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, atol=1e-5, err_msg=name)
    assert max(np.abs(value - at_first[name]).max() for name, value in alone.items()) > 0.1
    one, two = (
        json.loads((folder / "history.json").read_text())["history"] for folder in (tmp_path / "alone", out / "whole")
    )
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["whole", "small"])
def test_all_nodes_have_the_same_weights_and_statistics(out, name):
    first, second = saved(out, f"{name}-0"), saved(out, f"{name}-1")
    learnt = [key for key in first if not key.endswith("seed_generator_state")]
    assert learnt
    for key in learnt:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def test_each_node_draws_numbers_of_its_own(out):
    first, second = saved(out, "small-0"), saved(out, "small-1")
    states = [key for key in first if key.endswith("seed_generator_state")]
    assert states
    assert all((first[key] != second[key]).any() for key in states)


def test_training_goes_on_from_the_checkpoint_and_stops_early_on_all(out):
    history = json.loads((out / "small" / "history.json").read_text())["history"]
    assert 2 < len(history["val_loss"]) < 30


def test_only_one_node_writes(out):
    assert ["checkpoint.npz"] == [path.name for path in (out / "small" / "checkpoints").iterdir()]


@pytest.mark.parametrize("index", [0, 1])
def test_nodes_agree_or_say_why_not(out, index):
    report = said(out, index)
    assert [0.5, 3.0] == report["mean"]
    assert [2, 4] == report["batches"]
    assert "more nodes than rows in a batch" in report["few"]
    assert f"node {index} begins in epoch {index + 1}" in report["epochs"]
    assert "differ between the nodes" in report["apart"]
