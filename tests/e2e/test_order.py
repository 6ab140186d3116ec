"""What a version came from, what can go, and that nothing goes which a live version needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runs.run import STEPS
from pipeline.settings import ROOT
from pipeline.store import fileio
from pipeline.store.layout import Workspace

LIGHT = """
import sys
from pipeline.cli import main
code = main(sys.argv[1:])
print(code, [name for name in ("tensorflow", "tfx", "mlflow", "numpy") if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.xdist_group("digits")
def test_lineage_goes_from_the_data_to_the_served_version(digits):
    arguments = ["lineage", "digits@1", "--json", "--workspace", str(digits.workspace)]
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    found = json.loads(done.stdout)
    assert "0 []" == done.stderr.strip()
    assert ("digits@1", ["champion"], digits.result["run_id"]) == tuple(
        found[k] for k in ("version", "aliases", "run_id")
    )
    assert digits.result["mlflow_run_id"] == found["mlflow_run_id"]
    steps = {step["step"]: step for step in found["steps"]}
    assert list(STEPS) == list(steps)
    given = steps["ingest"]["outputs"]["examples"]["artifact"]
    assert {given} == {steps[name]["inputs"]["examples"]["artifact"] for name in ("statistics", "transform", "train")}
    assert steps["train"]["outputs"]["model"]["artifact"] == steps["publish"]["inputs"]["model"]["artifact"]
    blessing = steps["gate"]["outputs"]["blessing"]
    assert "ModelBlessing" == blessing["type"]
    assert {blessing["artifact"]} == {steps[name]["inputs"]["blessing"]["artifact"] for name in ("register", "publish")}
    (verdict,) = found["verdicts"]
    assert (True, [], digits.result["run_id"]) == tuple(verdict[name] for name in ("blessed", "reasons", "run_id"))
    assert [condition["words"] for condition in digits.result["gate"]] == verdict["conditions"]
    assert all(Path(o["path"]).exists() for step in steps.values() for o in step["outputs"].values())


@pytest.mark.long
def test_what_is_live_survives_the_removal_of_everything_else(published_unrecorded):
    squares = published_unrecorded
    (first,) = squares("runs", "--json").json
    squares.run("--set", "units=6")
    second = squares.run("--set", "units=8")
    assert [1, 3] == [first["model_version"], second["model_version"]]
    assert (
        "squares@3 (champion)" in squares("lineage", "squares").out
    )  # a rollback leads to squares@2, which stays, too

    planned = squares("gc", "--days", "0", "--json").json
    home = Path(second["model_path"]).parents[2]
    paths = {one["path"] for one in planned["garbage"]}
    assert {"serving/squares/1", f"runs/{first['run_id']}"} <= paths
    assert all((home / path).exists() for path in paths)

    assert "Freed" in squares("gc", "--days", "0", "--delete").out
    assert not any((home / path).exists() for path in paths)
    kept = squares("lineage", "squares", "--json").json
    assert all(output["there"] for step in kept["steps"] for output in step["outputs"].values())
    # The data of the later runs came from the cache, which the first had filled.
    assert first["run_id"] == kept["steps"][0]["made_by"]
    assert "Nothing to free" in squares("gc", "--days", "0").out

    again = squares.run("--set", "units=4")
    assert (True, 4) == (again["blessed"], again["model_version"])
    assert {"ingest", "statistics"} <= {step["name"] for step in again["steps"] if step["cached"]}
    assert "train" not in {step["name"] for step in again["steps"] if step["cached"]}


def test_nothing_is_removed_while_a_run_goes_on(keraspipe, tmp_path):
    home = tmp_path / "workspace"
    old = home / "runs" / "plain-20200101-000000-aaaa"
    old.mkdir(parents=True)
    with fileio.lock(Workspace(home).runs_lock, shared=True):
        answer = keraspipe("gc", "--days", "0", "--delete", "--workspace", home)
        assert 1 == answer.code
        assert "a run is in progress" in answer.err
        assert old.exists()
    left = home / ".removed" / "half"
    left.mkdir(parents=True)
    assert 0 == keraspipe("gc", "--days", "0", "--delete", "--workspace", home).code
    assert not old.exists()
    assert not left.exists()


def test_age_must_be_a_number(keraspipe):
    assert 2 == keraspipe("gc", "--days", "-1").code
    assert 2 == keraspipe("gc", "--days", "nan").code
