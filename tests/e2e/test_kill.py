"""Runs that are killed, and runs at the same time."""

from __future__ import annotations

import json
import re
import signal
import threading

import pytest


def until_line(process, pattern):
    """Reads the run's lines until one matches; the lines read."""
    seen = []
    for line in process.stderr:
        seen.append(line)
        if re.search(pattern, line):
            return seen
    raise AssertionError(f"{pattern} never came: {seen}")


def kill_when(squares, pattern, *arguments):
    """Kills a run at a line of its own; the lines until there."""
    process = squares.keraspipe.fork("run", "squares", "--json", *arguments)
    lines = until_line(process, pattern)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return lines


def test_killed_in_training_it_goes_on_from_its_last_epoch(prepared):
    arguments = ("--set", "epochs=30", "--set", "patience=30")
    kill_when(prepared, r"epoch 5/30", *arguments)
    process = prepared.keraspipe.fork("run", "squares", "--json", *arguments)
    _, err = process.communicate(timeout=300)
    assert 0 == process.returncode, err
    resumed = re.search(r"resuming from epoch (\d+)", err)
    assert resumed, err
    assert 6 <= int(resumed[1]) <= 30
    for step in ("ingest", "statistics", "transform"):
        assert re.search(rf"≡ {step}\s+from cache", err), err
    assert f"epoch {int(resumed[1]) - 1}/30" not in err
    assert not list((prepared.keraspipe.workspace / "checkpoints").glob("*"))
    (history,) = (prepared.keraspipe.workspace / "artifacts/squares/train/model_run").rglob("history.json")
    assert 30 == len(json.loads(history.read_text())["history"]["val_loss"])


@pytest.mark.long
def test_killed_after_one_step_and_another_nothing_is_corrupt(unrecorded):
    kill_when(unrecorded, r"✓ ingest")
    assert any(re.search(r"≡ ingest\s+from cache", line) for line in kill_when(unrecorded, r"✓ statistics"))
    assert any(re.search(r"≡ statistics\s+from cache", line) for line in kill_when(unrecorded, r"✓ evaluate"))
    result = unrecorded.run()
    assert result["blessed"] is True
    assert 1 == result["model_version"]
    assert {"ingest", "statistics"} <= {entry["name"] for entry in result["steps"] if entry["cached"]}


@pytest.mark.long
def test_an_identical_run_waits_for_the_first_and_takes_its_result(prepared_unrecorded):
    first = prepared_unrecorded.keraspipe.fork("run", "squares", "--json")
    until_line(first, r"≡ ingest")
    answers = []
    second = threading.Thread(target=lambda: answers.append(prepared_unrecorded("run", "squares", "--json")))
    second.start()
    out, _ = first.communicate(timeout=300)
    second.join(timeout=300)
    (answer,) = answers
    assert "waiting for its result" in answer.err
    assert json.loads(out)["run_id"] == answer.json["run_id"]
    assert 1 == answer.json["model_version"]


@pytest.mark.long
def test_two_different_runs_at_once_do_not_harm_each_other(squares):
    starts = [squares.keraspipe.fork("run", "squares", "--json", "--set", f"units={units}") for units in (4, 6)]
    ends = [(process, *process.communicate(timeout=400)) for process in starts]
    for process, out, err in ends:
        assert 0 == process.returncode, err
        assert json.loads(out)["blessed"] is True
    assert {1, 2} == {json.loads(out)["model_version"] for _, out, _ in ends}
    assert {"1", "2"} == {child.name for child in (squares.keraspipe.workspace / "serving/squares").iterdir()}


@pytest.mark.long
def test_interrupted_it_says_so_and_goes_on_under_the_same_id(prepared_unrecorded):
    arguments = ("--set", "epochs=30", "--set", "patience=30")
    process = prepared_unrecorded.keraspipe.fork("run", "squares", "--json", *arguments)
    until_line(process, "epoch 3/30")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert 1 == process.returncode
    assert "Interrupted. Run the same command again to continue." in err
    assert "Traceback" not in err
    (interrupted,) = prepared_unrecorded("runs", "--json").json
    assert "interrupted" == interrupted["state"]
    assert interrupted["run_id"] == prepared_unrecorded.run(*arguments)["run_id"]
