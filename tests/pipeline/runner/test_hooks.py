"""What is logged about the data before anomalies end a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from pipeline.errors import PipelineError
from pipeline.runner import hooks
from pipeline.store import fileio, journal


@pytest.fixture
def state(settings):
    """A run whose eval split has a column too many, as far as `validate` looks at it."""
    home = settings.workspace
    for split in ("train", "eval", "test"):
        found = anomalies_pb2.Anomalies()
        if split == "eval":
            found.anomaly_info["age"].description = "New column"
        path = home.root / "anomalies" / f"Split-{split}" / "SchemaDiff.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(found.SerializeToString())
    return SimpleNamespace(
        workspace=home,
        request=SimpleNamespace(name="people", quick=True, settings=settings),
        result=SimpleNamespace(run_id="people-1"),
        files=[settings.data / "people.csv"],
        data="da7a",
        uri=lambda _, output: home.root / output,
    )


def test_a_failing_validation_still_gives_the_report_its_facts(state):
    path = state.workspace.run("people-1").journal
    path.parent.mkdir(parents=True)
    with journal.use_journal(path), pytest.raises(PipelineError, match="New column"):
        hooks.validate(state, cached=False)
    (logged,) = (event for event, _ in journal.iter_events(path) if event["event"] == "data")
    assert ("people (quick)", "statistics", "schema/schema.pbtxt") == (
        logged["name"],
        logged["statistics"],
        logged["schema"],
    )
    assert ("da7a", [str(state.files[0])]) == (logged["digest"], logged["files"])
    assert ["eval: age: New column"] == fileio.read_json(state.workspace.inside(logged["anomalies"]))
