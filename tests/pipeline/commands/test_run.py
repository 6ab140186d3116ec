"""What a run prints at its end."""

from __future__ import annotations

import io
import sys

import pytest

from pipeline import cli
from pipeline.commands import run
from pipeline.runs.run import RunResult
from pipeline.settings import Settings


def summary(*arguments, **fields):
    request = run.make_request(cli.parse(["run", "digits", *arguments]), Settings())
    result = RunResult("digits-1", "digits", blessed=True, metrics={"accuracy": 0.5}, model_version=2, **fields)
    return run.format_summary(result, request)


@pytest.mark.parametrize(
    ("arguments", "first", "last"),
    [
        ((), "digits: accuracy 0.5000", "Next: keraspipe serve, keraspipe dashboard digits"),
        (("--challenger",), "digits: accuracy 0.5000", "Next: keraspipe promote digits, keraspipe dashboard digits"),
        (
            ("--quick",),
            "digits, quick: a small sample and few epochs: accuracy 0.5000",
            "Next: keraspipe predict digits@2 …; for a model to serve: keraspipe run digits",
        ),
    ],
)
def test_the_last_line_names_what_to_do_with_the_version(arguments, first, last):
    lines = summary(*arguments, model_path="serving/digits/2")
    assert (first, last) == (lines[0], lines[-1])


def test_the_last_line_of_a_forecast_names_the_command_for_the_next_steps(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "forecast.json").write_text("{}")
    expected = "Next: keraspipe predict digits --file SERIES.csv --out FORECAST.csv, keraspipe serve"
    assert f"{expected}, keraspipe dashboard digits" == summary(model_path=str(tmp_path))[-1]


def test_columns_that_float32_cannot_tell_apart_are_named():
    lines = summary(model_path="serving/digits/2", coarse=["x: half of the values are within 30"])
    assert "Warning: x: half of the values are within 30" in lines


WORDS = "gradient boosting accuracy 0.9700; the network is behind"
BEHIND = {
    "verdict": "behind",
    "metric": "accuracy",
    "models": [{"name": "gradient boosting", "metrics": {"accuracy": 0.97}}],
    "words": WORDS,
}


def test_the_standard_models_stand_below_the_result():
    lines = summary(model_path="serving/digits/2", baselines={**BEHIND, "verdict": "ahead"})
    assert ["digits: accuracy 0.5000", f"Baseline: {WORDS}"] == lines[:2]
    assert lines[-1].startswith("Next: ")


@pytest.mark.parametrize(
    ("arguments", "diagnosis", "advice"),
    [
        ((), "", "keraspipe tune digits, or serve the simpler model"),
        (
            (),
            "stopped; underfitting",
            "more epochs (--set epochs=…), keraspipe tune digits, or serve the simpler model",
        ),
        (("--quick",), "", "a full run: keraspipe run digits"),
    ],
)
def test_the_last_line_of_a_network_behind_them_says_what_to_try(arguments, diagnosis, advice):
    late = {"late_error": "OSError: full", "not_recorded": "all of it", "drift": ["age"], "diagnosis": diagnosis}
    lines = summary(*arguments, model_path="serving/digits/2", baselines=BEHIND, **late)
    numbers = "gradient boosting has accuracy 0.9700, this network 0.5000 on the same rows"
    assert f"Behind the baseline: {numbers}. Try {advice}" == lines[-1]
    assert f"Baseline: {WORDS}" in lines


def test_rows_that_are_left_out_stand_at_the_end_with_their_list(monkeypatch):
    left_out = {"rows": 1200, "of": 30_000, "kinds": "900 times bad; 300 times worse", "report": "runs/a/report.json"}
    words = "Left out: 1,200 of 30,000 rows cannot be used: 900 times bad; 300 times worse."
    assert not any(line.startswith("Left out") for line in summary())
    assert words in summary(left_out=left_out)
    path = Settings().workspace.inside("runs/a/report.json")
    monkeypatch.setattr(type(path), "exists", lambda _: True)
    assert f"{words} All of them: {path}" in summary(left_out=left_out)


@pytest.fixture
def refused(monkeypatch, tmp_path):
    """The command, with a run whose model does not pass its gate."""
    result = RunResult("digits-1", "digits", blessed=False, metrics={"accuracy": 0.5}, reasons=["too low"])
    monkeypatch.setattr(run.execution, "execute_request", lambda request, on_wait: on_wait() or result)
    return lambda *arguments: cli.main(["run", "digits", *arguments, "--workspace", str(tmp_path)])


@pytest.mark.heavy
def test_a_number_outside_its_range_is_named_before_the_run(refused, capsys):
    assert run.NOT_BLESSED == refused("--set", "learning_rate=5", "--set", "epochs=1")
    note, waiting = capsys.readouterr().err.splitlines()
    assert "Note: learning_rate=5.0 is outside 0.0001 to 0.01, the range that the recipe declares." == note
    assert run.WAITING_MESSAGE == waiting


class Closed(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, _):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError


@pytest.mark.heavy
@pytest.mark.parametrize("streams", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_a_reader_that_goes_does_not_change_the_exit_code(refused, monkeypatch, streams):
    """`keraspipe run digits | head -1`, and the same with `2>&1`."""
    for name in streams:
        monkeypatch.setattr(sys, name, Closed())
    assert run.NOT_BLESSED == refused("--set", "learning_rate=5")
    assert cli.USAGE_ERROR == refused("--set", "learning_rate=-1")


def test_quick_and_challenger_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        cli.parse(["run", "digits", "--quick", "--challenger"])
    assert "not allowed with" in capsys.readouterr().err
