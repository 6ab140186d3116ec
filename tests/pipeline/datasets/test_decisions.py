"""Decisions with rewards: what the server logged, joined by request, and the first ones of a simulation."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest

from pipeline.datasets.decisions import DIGIT_DECISIONS, Decisions, first_policy, read_rewards, scans
from pipeline.errors import PipelineError
from pipeline.features import targets
from serving.core.work import LogMetadata
from serving.request_log import files, records

POLICY = Decisions("shop", actions=3, size=2)


def logged(rows, **outputs):
    """A request with its answer."""
    inputs = {"features": np.full((len(rows), 2), 0.5, np.float32), "request_id": np.array(rows, object)}
    answer = {"action": np.arange(len(rows)), "probability": np.full(len(rows), 0.25, np.float32), **outputs}
    return records.predict_log(LogMetadata("shop", 1, "serving_default"), inputs, answer)


@pytest.fixture
def write(tmp_path):
    """Writes a log and rewards as server and application do; returns the data folder."""

    def to_files(logs, rewards):
        writer = files.LogWriter(files.model_folder(tmp_path / "feedback", "shop"), 2**20)
        for log in logs:
            writer.write(log.SerializeToString())
        writer.close()
        lines = [line if isinstance(line, str) else json.dumps(line) for line in rewards]
        (tmp_path / "feedback" / "rewards.jsonl").write_text("\n".join(lines))
        return tmp_path

    return to_files


def reward(request_id, value):
    return {"request_id": request_id, "reward": value}


def test_requests_and_rewards_are_joined(write):
    rewards = [reward("a", 0.0), reward("c", 2.0), reward("unknown", 1.0), "", reward("a", 1.0)]
    data = write([logged([b"a", b"b"]), logged([b"c"])], rewards)
    rows = [example.features for example in POLICY.examples(data)]
    assert [(b"a", 0, 1.0), (b"c", 0, 2.0)] == [(row["request_id"], row["action"], row["reward"]) for row in rows]
    assert {0.25} == {row["probability"] for row in rows}
    assert {""} == {targets.find_fault(row, POLICY.targets) for row in rows}
    assert 1 == len({row["context"] for row in rows}), "equal features are one context"
    assert ["rewards.jsonl"] == [path.name for path in POLICY.files(data) if path.suffix != ".tfrecord"]


@pytest.mark.parametrize(
    ("outputs", "fault"),
    [
        ({"action": np.array([3])}, "the action 3 is not from 0 to 2"),
        ({"action": np.array([-1])}, "the action -1 is not from 0 to 2"),
        ({"probability": np.array([0.0], np.float32)}, "the probability 0.0 is not above 0"),
        ({"probability": np.array([np.nan], np.float32)}, "the probability nan is not above 0"),
        ({"probability": np.array([1.5], np.float32)}, "the probability 1.5 is not above 0"),
    ],
)
def test_decisions_that_are_none_are_faults(write, outputs, fault):
    data = write([logged([b"a"], **outputs)], [reward("a", 1.0)])
    (example,) = POLICY.examples(data)
    assert fault in example.fault


def test_other_sizes_and_rewards_are_faults(write):
    data = write([logged([b"a"])], [reward("a", "nan")])
    assert ["the reward is no number"] == [example.fault for example in POLICY.examples(data)]
    wide = Decisions("shop", actions=3, size=5)
    assert ["2 features, not 5"] == [example.fault for example in wide.examples(data)]


def test_a_request_without_an_id_is_a_fault_and_another_signature_no_decision(write):
    without, other = logged([b"a"]), logged([b"a"])
    del without.predict_log.request.inputs["request_id"]
    del other.predict_log.response.outputs["action"]
    data = write([without, other], [reward("a", 1.0)])
    assert ["no request_id"] == [example.fault for example in POLICY.examples(data)]


def test_what_comes_before_a_damaged_record_is_read(write):
    data = write([logged([b"a"]), logged([b"b"])], [reward("a", 1.0), reward("b", 1.0)])
    (path,) = POLICY.log_files(data)
    path.write_bytes(path.read_bytes()[:-7])
    whole, damaged = POLICY.examples(data)
    assert b"a" == whole.features["request_id"]
    assert "cut off or damaged" in damaged.fault


@pytest.mark.parametrize("line", ["{", "[]", '{"request_id": "a"}', '{"request_id": "a", "reward": "good"}'])
def test_a_line_that_is_no_reward_is_named(write, line):
    data = write([logged([b"a"])], [reward("a", 1.0), line])
    with pytest.raises(PipelineError, match=r"Line 2 of .*rewards\.jsonl is no reward"):
        read_rewards(data / "feedback" / "rewards.jsonl")


def test_what_is_missing_is_said(write, tmp_path):
    with pytest.raises(PipelineError, match="no logged requests"):
        POLICY.files(tmp_path)
    data = write([logged([b"a"])], [])
    (data / "feedback" / "rewards.jsonl").unlink()
    with pytest.raises(PipelineError, match="no rewards"):
        POLICY.files(data)


@pytest.mark.heavy
def test_first_decisions_are_those_of_the_first_policy(tmp_path):
    rows = [example.features for example in DIGIT_DECISIONS.examples(tmp_path)]
    pixels, labels = scans(tmp_path)
    assert 8 * len(labels) == len(rows)
    assert len(rows) == len({row["request_id"] for row in rows})
    assert 0.07 < np.mean([row["reward"] for row in rows]) < 0.15
    assert rows[0]["probability"] == first_policy(pixels[0])[rows[0]["action"]]
    assert list(islice(DIGIT_DECISIONS.examples(tmp_path), 3)) == list(islice(DIGIT_DECISIONS.examples(tmp_path), 3))
