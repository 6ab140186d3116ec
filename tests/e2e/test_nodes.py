"""Training on two nodes: real processes of `keraspipe node`, on this machine."""

from __future__ import annotations

import re
import signal
import socket
import subprocess

import psutil
import pytest

from pipeline.store import journal

pytestmark = pytest.mark.slow  # four processes that import TensorFlow


@pytest.fixture
def nodes(squares, tmp_path):
    """Two nodes on the workspace of `squares`, and the settings under which a run trains on them."""
    places, processes = [], []
    for index in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            places.append(f"127.0.0.1:{free.getsockname()[1]}")
        command = squares.keraspipe.command("node", "--port", places[-1].partition(":")[2])
        environment = {**squares.keraspipe.environment, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
        with (tmp_path / f"node-{index}.txt").open("w") as log:
            processes.append(subprocess.Popen(command, env=environment, stderr=log, cwd=tmp_path))
    yield processes, {"KERASPIPE_DISTRIBUTION": "nodes", "KERASPIPE_NODES": ",".join(places)}
    for process in processes:
        process.terminate()
    assert [0, 0] == [process.wait(timeout=60) for process in processes]


def events(squares, kind):
    (path,) = (squares.keraspipe.workspace / "runs").glob("*/journal.jsonl")
    return [event for event, _ in journal.iter_events(path) if event["event"] == kind]


def test_two_nodes_train_a_network_that_is_evaluated_and_published(squares, nodes):
    result = squares.run(**nodes[1])
    assert result["blessed"] is True
    (training,) = events(squares, "training")
    assert "2 nodes" == training["distribution"]
    assert list(range(1, 13)) == [event["epoch"] for event in events(squares, "epoch")]


def test_a_node_that_dies_ends_the_run_and_the_same_command_goes_on(squares, nodes):
    processes, settings = nodes
    arguments = ("run", "squares", "--set", "epochs=400", "--set", "patience=400")
    run = squares.keraspipe.start(*arguments, **settings)
    next(line for line in run.stderr if re.search(r"epoch 3/400", line))
    (training,) = psutil.Process(processes[1].pid).children()
    training.send_signal(signal.SIGKILL)
    _, err = run.communicate(timeout=300)
    assert 1 == run.returncode
    assert re.search(r"The node 127\.0\.0\.1:\d+, one of 2, was lost during the training", err)
    assert "the same command goes on from the last checkpoint" in err
    again = squares(*arguments[:2], *arguments[2:], **settings)
    assert 0 == again.code, again.err
    assert re.search(r"resuming from epoch (\d+)", again.err)
