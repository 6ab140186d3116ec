"""`keraspipe compare` over runs as they lie in a workspace."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import cli
from pipeline.runs import compare as runs_compare
from pipeline.store import champions, fileio, journal
from pipeline.store.layout import Workspace

STEPS = [{"name": "train", "seconds": 1.0, "cached": False}, {"name": "publish", "seconds": 0.1, "cached": False}]


@pytest.fixture
def workspace(tmp_path):
    return tmp_path / "workspace"


@pytest.fixture
def left(workspace):
    """Writes what a run leaves in a workspace."""

    def write(run_id, accuracy, *, version=None, losses=(0.9, 0.5), rows=100, data="d", steps=STEPS, **params):
        recipe, folder = run_id.rsplit("-", 3)[0], Workspace(workspace).run(run_id).root
        folder.mkdir(parents=True)
        path = folder / "journal.jsonl"
        tags = {"code_digest": "c", "data_digest": data}
        journal.append_event(path, "start", recipe=recipe, params={"epochs": 2, **params}, tags=tags)
        fileio.write_json(workspace / "artifacts" / f"{run_id}.report" / "report.json", {"rows": {"train": rows}})
        journal.append_event(path, "file", path=f"artifacts/{run_id}.report/report.json", folder="data")
        for epoch, loss in enumerate(losses, 1):
            journal.append_event(path, "epoch", epoch=epoch, metrics={"val_loss": loss})
        slices = [{"slice": f"label={n}", "metrics": {"accuracy": accuracy - 0.1 * n, "auc": None}} for n in range(2)]
        fileio.write_json(folder / "evaluation.json", {"metrics": {"accuracy": accuracy}, "slices": slices})
        result = {"run_id": run_id, "recipe": recipe, "model_version": version, "seconds": 3.0, "steps": steps}
        fileio.write_json(folder / "result.json", result)
        if version:
            Workspace(workspace).model(recipe, version).mkdir(parents=True, exist_ok=True)
        return run_id

    return write


@pytest.fixture
def compare(workspace, capsys):
    def call(*arguments):
        code = cli.main(["compare", *arguments, "--workspace", str(workspace)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_what_differs(left, compare):
    a = left("plain-20260101-000000-aaaa", 0.8, rate=0.00005)
    b = left("plain-20260102-000000-bbbb", 0.9, rate=0.1, losses=(0.8, 0.6, 0.2), rows=120, data="e")
    code, out, _ = compare(a, b, "--json")
    found = json.loads(out)
    assert 0 == code
    assert [a, b] == found["runs"]
    assert {"a": 0.8, "b": 0.9, "difference": pytest.approx(0.1)} == found["metrics"]["accuracy"]
    assert {"rate": {"a": 0.00005, "b": 0.1}} == found["params"]
    assert {"data": False, "code": True} == found["same"]
    assert {"train rows": {"a": 100, "b": 120, "difference": 20}} == found["data"]
    assert {"val_loss": {"a": [0.9, 0.5], "b": [0.8, 0.6, 0.2]}} == found["curves"]
    assert {"label=0", "label=1"} == found["slices"].keys()


def test_words(left, compare):
    a = left("plain-20260101-000000-aaaa", 0.8, rate=0.00005)
    b = left("plain-20260102-000000-bbbb", 0.9, rate=0.1, losses=(0.8, 0.6, 0.2))
    _, out, _ = compare(a, b)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "accuracy 0.8000 0.9000 +0.1000" in lines
    assert "label=0 accuracy 0.8000 0.9000 +0.1000" in lines
    assert not any(line.startswith("label=0 auc") for line in lines)  # neither run could measure it
    assert "rate 5e-05 0.1" in lines
    assert "A val_loss █▄ 2 epochs" in lines
    assert "B val_loss ▇▅▁ 3 epochs" in lines
    assert "They ran on the same data, the same code." == lines[-1]
    assert not any(line.startswith("epochs") for line in lines)


def test_a_run_that_failed_early_has_no_numbers(left, compare, workspace):
    a = left("plain-20260101-000000-aaaa", 0.8)
    folder = Workspace(workspace).run("plain-20260102-000000-bbbb").root
    folder.mkdir()
    journal.append_event(folder / "journal.jsonl", "start", recipe="plain", params={"epochs": 3}, tags={})
    code, out, _ = compare(a, folder.name)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert (0, True, True) == (code, "accuracy 0.8000 - -" in lines, "epochs 2 3" in lines)
    assert "Slices that differ most:" not in lines


def test_versions_stand_for_the_runs_that_published_them(left, compare, workspace):
    left("plain-20260101-000000-aaaa", 0.8, version=1)
    left("plain-20260102-000000-bbbb", 0.9, version=2)
    skipped = [{"name": "publish", "seconds": 0.0, "cached": False, "skipped": True}]
    left("plain-20260103-000000-cccc", 0.9, version=2, steps=skipped)
    champions.set_champion(
        Workspace(workspace), "plain", champions.ModelVersion(2, "digest", "plain-20260102-000000-bbbb")
    )
    _, out, _ = compare("plain@1", "plain@2", "--json")
    assert ["plain-20260101-000000-aaaa", "plain-20260102-000000-bbbb"] == json.loads(out)["runs"]
    _, out, _ = compare("plain@1", "plain", "--json")
    assert ["plain-20260101-000000-aaaa", "plain-20260102-000000-bbbb"] == json.loads(out)["runs"]


@pytest.mark.parametrize("wanted", ["plain@7", "plain@x", "plain@", "plian@1", "", "plain-2026", "../plain"])
def test_unknown(left, compare, wanted):
    a = left("plain-20260101-000000-aaaa", 0.8, version=1)
    code, out, err = compare(a, wanted)
    assert (2, "") == (code, out)
    assert f"Received: {wanted}" in err


finite = st.floats(-1e6, 1e6)


@given(st.lists(finite | st.none(), max_size=200))
def test_bars_are_short_and_show_the_extremes(values):
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    shown = runs_compare.sparkline(values, low, high)
    assert len(shown) <= runs_compare.CURVE_WIDTH
    assert set(shown) <= set(runs_compare.BARS)
    if known and len(values) <= runs_compare.CURVE_WIDTH:
        assert len(known) == len(shown)
        assert runs_compare.BARS[0] in shown
