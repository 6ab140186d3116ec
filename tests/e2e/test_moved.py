"""A workspace that is moved after a run goes on where it is: what it has done, its versions, its records."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.dashboard import server as dashboard
from pipeline.store.layout import Workspace
from pipeline.tracking import recorder

from .conftest import Squares

UNTIL_TRAINING = {"ingest", "statistics", "infer_schema", "schema", "validate", "transform", "baseline"}


def move(squares: Squares, folder: Path, keraspipe_in) -> Squares:
    """Moves the workspace alone; the recipe and its data stay where they are."""
    folder.mkdir()
    shutil.move(squares.keraspipe.workspace, folder / "workspace")
    names = ("KERASPIPE_RECIPES", "KERASPIPE_DATA")
    kept = {name: squares.keraspipe.environment[name] for name in names}
    return Squares(squares.recipe, squares.data, keraspipe_in(folder, **kept))


@pytest.mark.long
def test_a_moved_workspace_knows_what_it_did_and_goes_on(squares, tmp_path, keraspipe_in):
    first, old = squares.run(), squares.keraspipe.workspace
    assert (True, 1) == (first["blessed"], first["model_version"])
    moved = move(squares, tmp_path / "else where 50%", keraspipe_in)
    home = Workspace(moved.keraspipe.workspace)

    assert first["run_id"] == moved.run()["run_id"]
    second = moved.run("--set", "units=5")
    assert (True, 2) == (second["blessed"], second["model_version"])
    assert UNTIL_TRAINING == {step["name"] for step in second["steps"] if step["cached"]}
    assert Path(second["model_path"]).is_relative_to(home.root)

    image = moved.data / "light" / "0.png"
    for name in ("squares", "squares@1"):
        (answer,) = moved("predict", name, image, "--json").json["predictions"]
        assert answer["label"] == "light"
    out = tmp_path / "answers.csv"
    assert moved("predict", "squares", "--file", moved.data, "--out", out).code == 0
    assert len(out.read_text().splitlines()) == 121

    assert recorder.pending_runs(home) == []
    client = MlflowClient(f"sqlite:///{home.mlflow_db}")
    for run in (first, second):
        card = client.download_artifacts(run["mlflow_run_id"], "card/card.md", str(tmp_path))
        assert Path(card).read_text().startswith("# squares version")
        page = dashboard.find_page(home, f"squares@{run['model_version']}")("http://host:5000")
        assert f"/runs/{run['mlflow_run_id']}?" in page
    assert {first["run_id"], second["run_id"]} == {run["run_id"] for run in moved("runs", "--json").json}
    assert not old.exists()
