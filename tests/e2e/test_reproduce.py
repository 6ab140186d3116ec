"""A run once more, from what was kept of it."""

from __future__ import annotations

import json


def test_a_deterministic_run_has_the_same_weights_again(squares):
    told = squares.run("--set", "units=6", "--seed", "7", KERASPIPE_DETERMINISTIC="1")
    squares.edit("units: int = 4", "units: int = 5")
    answer = squares("reproduce", told["run_id"], "--json")
    found = answer.json
    assert 0 == answer.code
    assert (True, True, True) == (found["same_weights"], found["same_metrics"], found["same_code"])
    assert {"data": True, "code": True} == found["same"]
    assert ({}, told["run_id"]) == (found["params"], found["runs"][0])
    assert "squares@1 (champion)" in squares("lineage", "squares").out  # nothing was published

    squares.recipe.parent.joinpath("squares.py").unlink()
    (squares.data / "dark" / "0.png").unlink()
    answer = squares("reproduce", "squares@1")
    assert 1 == answer.code
    assert "are not there any more" in answer.err


def test_what_was_not_kept_is_said(unrecorded):
    told = unrecorded.run("--until", "ingest")
    (unrecorded.keraspipe.workspace / "runs" / told["run_id"] / "request.json").unlink()
    answer = unrecorded("reproduce", told["run_id"])
    assert 2 == answer.code
    assert "not kept" in answer.err


def test_a_command_is_told_of_the_verdict_and_of_a_failure(squares, tmp_path):
    told = tmp_path / "told.jsonl"
    script = tmp_path / "hear.sh"
    script.write_text(f"#!/bin/sh\ncat >> {told}\necho >> {told}\n")
    script.chmod(0o755)
    squares.edit("epochs: int = 12", "epochs: int = 1")
    squares.run(KERASPIPE_NOTIFY=str(script))
    squares.edit("def build(p, spec):", "def build(p, spec):\n    raise RuntimeError('spoiled')")
    assert 1 == squares("run", "squares", KERASPIPE_NOTIFY=str(script)).code
    first, second = map(json.loads, told.read_text().split("\n")[:2])
    assert ("verdict", "squares") == (first["event"], first["recipe"])
    assert "failure" == second["event"]
    assert "spoiled" in second["message"]
