"""The connection to MLflow: what it leaves in its process."""

from __future__ import annotations

import os
import shutil

from pipeline.store.layout import Workspace
from pipeline.tracking.client import TrackingStore


def test_the_environment_stays_what_the_user_made_it(tmp_path, database, monkeypatch):
    uri = f"sqlite:///{shutil.copy(database, tmp_path)}"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert TrackingStore(uri, Workspace(tmp_path)).client
    assert "MLFLOW_TRACKING_URI" not in os.environ
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    assert TrackingStore(uri, Workspace(tmp_path)).client
    assert "http://elsewhere" == os.environ["MLFLOW_TRACKING_URI"]
