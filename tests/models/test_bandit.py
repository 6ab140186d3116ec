"""The recipe bandit: served, logged, rewarded and learnt from, it does better than the policy that was logged."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from models import bandit
from pipeline.datasets.decisions import DIGIT_DECISIONS, scans
from pipeline.evaluation import bootstrap
from pipeline.settings import ROOT
from pipeline.training import trainer
from pipeline.training.input_pipeline import Rows
from serving.client.client import Client
from serving.core.model import LoadedModel
from serving.options import RequestLog

CONFIG = {"seed": 1, "mixed_precision": "float32", "deterministic": False, "distribution": "none"}
ASKED = 6  # times that each scan is
HELD_OUT = 600  # scans of the test
PARAMS = dataclasses.replace(bandit.Params(), epochs=25)

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.parametrize("sampled_recipe", [pytest.param(ROOT / "models/bandit.py", id="bandit")], indirect=True),
]


def true_reward(served, pixels, labels):
    """What a policy earns in truth: the mean probability of the right name."""
    ids = np.array([b"anyone"] * len(labels), object)
    answer = served.predict("serving_default", {"features": pixels, "request_id": ids})
    return answer["probabilities"][np.arange(len(labels)), labels].mean()


def to_columns(examples):
    """The decisions as `score` gets them."""
    rows = [example.features for example in examples]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {**columns, "features": columns["features"].astype(np.float32)}


def to_rows(columns):
    """The decisions as the training gets them."""
    names = ("action", "probability", "reward")
    decision = np.stack([columns[name].astype(np.float32) for name in names], axis=1)
    return Rows(tf.data.Dataset.from_tensor_slices(({"features": columns["features"]}, decision)), len(decision), 1)


@pytest.fixture
def first(sampled_recipe, tmp_path):
    """The SavedModel of a network that has learnt nothing."""
    sampled_recipe.export(sampled_recipe.network(10), tmp_path / "models" / "bandit" / "1")
    return LoadedModel(tmp_path / "models" / "bandit" / "1")


@pytest.fixture
def log(first, run_server, tmp_path):
    """The data folder, after all scans were asked of a server and the right answers rewarded."""
    pixels, labels = scans(tmp_path)
    with (
        run_server(tmp_path / "models", request_log=RequestLog(tmp_path / "feedback", rate=1.0)) as server,
        Client(server.grpc) as client,
        (tmp_path / "feedback.jsonl").open("w") as rewards,
    ):
        for time in range(ASKED):
            ids = [f"{time}-{row}" for row in range(len(labels))]
            request = {"features": pixels, "request_id": np.array([name.encode() for name in ids], object)}
            actions = client.predict("bandit", request)["action"]
            for name, action, label in zip(ids, actions, labels, strict=True):
                rewards.write(json.dumps({"request_id": name, "reward": float(action == label)}) + "\n")
        assert 0 == server.terminate()
    (tmp_path / "feedback.jsonl").rename(tmp_path / "feedback" / "rewards.jsonl")
    return tmp_path


def test_it_learns_from_what_was_logged(sampled_recipe, first, log, tmp_path):
    pixels, labels = scans(log)
    columns = to_columns(DIGIT_DECISIONS.examples(log))
    assert ASKED * len(labels) == len(columns["reward"])
    held_out = np.array([int(name.partition(b"-")[2]) < HELD_OUT for name in columns["request_id"]])
    test, train = ({name: values[part] for name, values in columns.items()} for part in (held_out, ~held_out))
    config = {**CONFIG, "checkpoints": str(tmp_path / "checkpoints")}
    rows = to_rows(train)
    model = trainer.fit_recipe(sampled_recipe.recipe, PARAMS, rows, rows, config, tmp_path / "out", {})
    sampled_recipe.export(model, tmp_path / "second")
    second = LoadedModel(tmp_path / "second")
    before, after = (true_reward(served, pixels[:HELD_OUT], labels[:HELD_OUT]) for served in (first, second))
    assert after > before + 0.3
    scores = bandit.score(second, SimpleNamespace(test=test), {})
    for name, truth in (("robust_reward", after), ("ips_reward", after), ("logged_reward", before)):
        low, high = bootstrap.interval(scores[name], np.arange(scores[name].rows))
        margin = (high - low) / 2  # one more: 5 % of all runs would fail without
        assert low - margin < truth < high + margin, name
    assert 0 < scores["gain_low"] < after - before < 2 * scores["gain"].value


def test_actions_come_as_often_as_said_and_a_request_again_gets_the_same(first, tmp_path):
    pixels, _ = scans(tmp_path)
    ids = np.array([str(number).encode() for number in range(4000)], object)
    request = {"features": np.repeat(pixels[:1], len(ids), axis=0), "request_id": ids}
    answer, again = (first.predict("serving_default", request) for _ in range(2))
    assert answer["action"].tolist() == again["action"].tolist()
    shares = np.bincount(answer["action"], minlength=10) / len(ids)
    np.testing.assert_allclose(answer["probabilities"][0], shares, atol=0.04)
    np.testing.assert_allclose(answer["probability"], answer["probabilities"][0][answer["action"]])
    assert 0.01 <= answer["probabilities"].min()
    best = first.predict("best", {"features": pixels[:1]})
    assert answer["probabilities"][0].argmax() == best["action"][0]
