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


@pytest.fixture
def ingested(state, monkeypatch):
    """The hook of `ingest`, with a report of the step."""
    monkeypatch.setattr(hooks, "_report_drift", lambda *_: None)
    path = state.workspace.run("people-1").journal
    path.parent.mkdir(parents=True)

    def run(report):
        fileio.write_json(state.workspace.root / "examples" / "report.json", report)
        with journal.use_journal(path):
            hooks.ingest(state, cached=True)
        return state.result.left_out

    return run


def test_rows_that_cannot_be_used_are_listed_in_the_folder_of_the_run(state, ingested):
    report = {
        "sound": 7,
        "bad": ["a: no age: 'x'", "b: no age: 'y'", "c: no name"],
        "kinds": {"no age": 2, "no name": 1},
    }
    path = "runs/people-1/report.json"
    assert {"rows": 3, "of": 10, "kinds": "2 times no age; 1 times no name", "report": path} == ingested(report)
    assert report == fileio.read_json(state.workspace.inside(path))


def test_columns_that_float32_cannot_tell_apart_are_part_of_the_result(state, ingested):
    ingested({"sound": 7, "bad": [], "kinds": {}, "coarse": ["x: half of"]})
    assert ["x: half of"] == state.result.coarse


def test_nothing_is_said_where_all_rows_can_be_used(ingested):
    assert {} == ingested({"sound": 7, "bad": [], "kinds": {}})


def test_a_perfect_test_asks_for_no_more_epochs(state):
    words = (
        "best epoch 9 of 9, val_loss 0.0153; underfitting: val_loss was still falling (2 to 1); more epochs may help."
    )
    evaluation = {"gate": {"blessed": True, "reasons": [], "conditions": []}}
    for accuracy, advised in ((1.0, False), (0.99, True)):
        state.result.diagnosis = words
        hooks._copy_evaluation(state, evaluation | {"metrics": {"accuracy": accuracy, "loss": 0.02}})
        assert advised == ("more epochs" in state.result.diagnosis)
    assert state.result.diagnosis == words
