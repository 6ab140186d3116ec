"""What a run prints at its end."""

from __future__ import annotations

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


def test_quick_and_challenger_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        cli.parse(["run", "digits", "--quick", "--challenger"])
    assert "not allowed with" in capsys.readouterr().err
