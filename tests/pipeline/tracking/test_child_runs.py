"""Child runs of the steps, and the ids that lead from MLflow to ML Metadata and back."""

import pytest
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from mlflow.tracking import MlflowClient

from pipeline.store.recording import RecordingState
from pipeline.tracking import recorder
from pipeline.tracking.__main__ import main


@pytest.fixture
def store(workspace):
    """An ML Metadata with one execution in one pipeline run."""
    config = mlmd.ConnectionConfig(sqlite={"filename_uri": str(workspace / "metadata.db"), "connection_mode": 3})
    store = MetadataStore(config)
    kind = store.put_execution_type(mlmd.ExecutionType(name="Trainer"))
    context = store.put_context_type(mlmd.ContextType(name="pipeline_run"))
    store.put_executions([mlmd.Execution(type_id=kind, last_known_state=mlmd.Execution.COMPLETE)])
    store.put_contexts([mlmd.Context(type_id=context, name="run-1@abc")])
    return store


@pytest.fixture
def client(uri):
    return MlflowClient(uri)


@pytest.fixture
def record(workspace, uri):
    return lambda: main([str(workspace), "run-1", "--uri", uri])


def executed(run, **changes):
    example = {"id": 7, "type": "Examples", "uri": "artifacts/examples/7"}
    fields = {"name": "train", "execution_id": 1, "context_id": 1, "pipeline_run": "run-1@abc"}
    run.write("execution", **{**fields, "inputs": {"examples": [example]}, "outputs": {}, **changes})


def stepped(run, *states):
    for state in states:
        run.write("step", name="train", state=state, seconds=0.0 if state == "started" else 2.5, order=0)


def children(client, parent):
    found = client.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{parent}'")
    return {child.info.run_name: child for child in found}


def test_a_step_is_a_child_run_with_its_time_and_what_went_in(run, store, record, client, workspace):
    run.start()
    stepped(run, "started")
    executed(run)
    stepped(run, "done")
    assert record() == 0
    outcome = recorder.read_outcome(run.folder)
    assert outcome.error == ""
    child = children(client, outcome.mlflow_run_id)["train"]
    assert (child.info.status, child.data.tags["keraspipe.seconds"]) == ("FINISHED", "2.5")
    assert child.info.end_time - child.info.start_time == 2000
    assert child.data.tags["mlmd.execution_id"] == "1"
    assert child.data.tags["input.examples"] == "Examples 7: artifacts/examples/7"
    assert "| input | examples | Examples | 7 |" in child.data.tags["mlflow.note.content"]
    assert client.get_run(outcome.mlflow_run_id).data.tags["mlmd.pipeline_run"] == "run-1@abc"


def test_ml_metadata_leads_back_to_mlflow(run, store, record, client):
    run.start()
    stepped(run, "started")
    executed(run)
    record()
    parent = recorder.read_outcome(run.folder).mlflow_run_id
    child = children(client, parent)["train"].info.run_id
    (execution,), (context,) = store.get_executions(), store.get_contexts()
    assert execution.custom_properties["mlflow_run_id"].string_value == child
    assert execution.last_known_state == mlmd.Execution.COMPLETE
    assert context.custom_properties["mlflow_run_id"].string_value == parent


def test_recording_again_makes_no_second_child(run, store, record, client):
    run.start()
    stepped(run, "started")
    executed(run)
    stepped(run, "cached")
    run.write("step", name="publish", state="skipped", seconds=0.0, order=1)
    record()
    run.folder.recorded.unlink()
    record()
    found = children(client, recorder.read_outcome(run.folder).mlflow_run_id)
    assert list(found) == ["train"]
    assert found["train"].data.tags["keraspipe.state"] == "cached"
    assert RecordingState.load(run.folder).children == {"train": found["train"].info.run_id}


def test_a_step_that_was_killed_is_not_left_running(run, record, client):
    run.start()
    stepped(run, "started")
    record()
    parent = recorder.read_outcome(run.folder).mlflow_run_id
    assert children(client, parent)["train"].info.status == "KILLED"
    stepped(run, "started", "failed")
    record()
    assert children(client, parent)["train"].info.status == "FAILED"


def test_an_execution_that_ml_metadata_no_longer_has_is_reported_and_leaves_the_rest(run, store, record):
    run.start()
    executed(run, execution_id=99)
    run.epochs(1, 1)
    assert record() == 0
    assert "has no execution 99" in recorder.read_outcome(run.folder).error
    assert RecordingState.load(run.folder).offset == run.folder.journal.stat().st_size


@pytest.mark.parametrize("changes", [{"pipeline_run": "run-1@other"}, {"context_id": 9}])
def test_ml_metadata_that_began_anew_is_left_alone(run, store, record, changes):
    run.start()
    executed(run, **changes)
    assert record() == 0
    assert recorder.read_outcome(run.folder).error == ""
    assert "mlflow_run_id" not in store.get_executions_by_id([1])[0].custom_properties
