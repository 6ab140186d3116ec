"""A run once more, from what was kept of it."""

from __future__ import annotations

import json

import pytest

DETERMINISTIC = {"KERASPIPE_DETERMINISTIC": "1"}


def curves(squares):
    """The curves of all trainings, the oldest first."""
    folder = squares.keraspipe.workspace / "artifacts/squares/train/model_run"
    paths = sorted(folder.rglob("history.json"), key=lambda path: int(path.parent.name))
    return [json.loads(path.read_text())["history"] for path in paths]


@pytest.mark.long
def test_a_deterministic_run_has_the_same_curves_and_weights_again(prepared):
    squares = prepared
    result = squares.run("--set", "units=6", "--seed", "7", **DETERMINISTIC)
    squares.edit("units: int = 4", "units: int = 5")
    answer = squares("reproduce", result["run_id"], "--json")
    found = answer.json
    assert 0 == answer.code
    assert (True, True, True) == (found["same_weights"], found["same_metrics"], found["same_code"])
    assert {"data": True, "code": True} == found["same"]
    assert ({}, result["run_id"]) == (found["params"], found["runs"][0])
    assert "squares@1 (champion)" in squares("lineage", "squares").out  # nothing was published

    squares.run("--set", "units=6", "--seed", "8", "--until", "train", **DETERMINISTIC)
    first, second, other = curves(squares)
    assert first == second
    assert first != other

    squares.recipe.parent.joinpath("squares.py").unlink()
    (squares.data / "dark" / "0.png").unlink()
    answer = squares("reproduce", "squares@1")
    assert 1 == answer.code
    assert "have changed or are gone" in answer.err


def test_what_was_not_kept_is_said(unrecorded):
    result = unrecorded.run("--until", "ingest")
    (unrecorded.keraspipe.workspace / "runs" / result["run_id"] / "request.json").unlink()
    answer = unrecorded("reproduce", result["run_id"])
    assert 2 == answer.code
    assert "its request is not stored" in answer.err


@pytest.mark.long
def test_a_command_is_notified_of_the_verdict_and_of_a_failure(prepared_unrecorded, tmp_path):
    squares = prepared_unrecorded
    received = tmp_path / "received.jsonl"
    script = tmp_path / "hear.sh"
    script.write_text(f"#!/bin/sh\ncat >> {received}\necho >> {received}\n")
    script.chmod(0o755)
    squares.edit("epochs: int = 12", "epochs: int = 1")
    squares.run(KERASPIPE_NOTIFY=str(script))
    squares.edit("def build(p, spec):", "def build(p, spec):\n    raise RuntimeError('spoiled')")
    assert 1 == squares("run", "squares", KERASPIPE_NOTIFY=str(script)).code
    first, second = map(json.loads, received.read_text().split("\n")[:2])
    assert ("verdict", "squares") == (first["event"], first["recipe"])
    assert "failure" == second["event"]
    assert "spoiled" in second["message"]
