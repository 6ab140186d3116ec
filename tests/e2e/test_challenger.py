"""`keraspipe run --challenger`: evaluated against the champion, published next to it, and MLflow knows both."""

from __future__ import annotations

import pytest

from pipeline.store import champions
from pipeline.store.layout import Workspace
from pipeline.tracking import alias_sync


@pytest.mark.slow
def test_a_challenger_is_published_next_to_the_champion_and_promoted(squares):
    workspace = squares.keraspipe.workspace
    first = squares.run()
    second = squares.run("--challenger", "--set", "units=5")
    assert [(True, 1), (True, 2)] == [(one["blessed"], one["model_version"]) for one in (first, second)]
    assert {"champion": 1, "challenger": 2} == champions.current_entry(Workspace(workspace), "squares").aliases
    uri = f"sqlite:///{workspace / 'mlflow.db'}"
    assert {"champion": 1, "challenger": 2} == alias_sync.read_last_synced(Workspace(workspace), "squares", uri)
    (row,) = [one for one in squares("models", "--json").json if one["name"] == "squares"]
    assert (1, 2) == (row["live_version"], row["challenger_version"])
    assert 2 == squares("promote", "squares", "--json").json["champion"]
    again = squares.run("--set", "units=5")  # the champion itself: nothing to judge
    assert (True, 2) == (again["blessed"], again["model_version"])
    assert {"evaluate", "score", "gate", "publish"} <= {step["name"] for step in again["steps"] if step.get("skipped")}
    assert 0 == squares("sync").code
    assert {"champion": 2} == alias_sync.read_last_synced(Workspace(workspace), "squares", uri)
    assert 1 == squares("rollback", "squares", "--json").json["champion"]
