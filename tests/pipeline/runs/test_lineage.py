"""What ML Metadata says of a version, also where a run is from before the gate wrote its verdict there."""

from __future__ import annotations

import json

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.evaluation import blessing
from pipeline.runs import lineage
from pipeline.runs.versions import Version
from pipeline.store.layout import Workspace

RUN = "plain-20260101-000000-aaaa"


@pytest.fixture
def ledger(tmp_path):
    """Writes steps of runs as TFX's launcher does."""
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.db")
    config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return Ledger(MetadataStore(config))


class Ledger:
    def __init__(self, store):
        self.store = store

    def execute(self, step, output, kind, run=RUN, uri="", **properties):
        """Writes an execution with one output; gives the artifact's id."""
        artifact = mlmd.Artifact(
            type_id=self.store.put_artifact_type(mlmd.ArtifactType(name=kind)), uri=uri or f"/gone/{step}"
        )
        for name, value in properties.items():
            setattr(artifact.custom_properties[name], "int_value" if isinstance(value, int) else "string_value", value)
        event = mlmd.Event(type=mlmd.Event.OUTPUT)
        event.path.steps.add().key = output
        kind_id = self.store.put_execution_type(mlmd.ExecutionType(name=step))
        execution = mlmd.Execution(type_id=kind_id, last_known_state=mlmd.Execution.COMPLETE)
        contexts = [self._context("pipeline_run", f"{run}@1"), self._context("node", f"plain.{step}")]
        _, (number,), _ = self.store.put_execution(execution, [(artifact, event)], contexts)
        return number

    def _context(self, kind, name):
        known = self.store.get_context_by_type_and_name(kind, name)
        return known or mlmd.Context(type_id=self.store.put_context_type(mlmd.ContextType(name=kind)), name=name)


def test_lineage_of_a_moved_workspace_names_its_files(ledger, tmp_path):
    model = ledger.execute("train", "model", "Model", uri="/former/artifacts/plain/train/model/1")
    assert model
    path = tmp_path / "artifacts" / "plain" / "train" / "model" / "1"
    path.mkdir(parents=True)
    (step,) = lineage.trace_version(Workspace(tmp_path), Version("plain", 1, RUN))["steps"]
    assert (str(path), True) == (step["outputs"]["model"]["path"], step["outputs"]["model"]["there"])


def test_a_run_from_before_the_gate_is_still_shown(ledger, tmp_path):
    model = ledger.execute("train", "model", "Model")
    ledger.execute("evaluate", "blessing", blessing.BLESSING_TYPE, current_model_id=model, blessed=0)  # by TFMA alone
    ledger.execute("judge", "judgement", "ModelEvaluation")
    found = lineage.trace_version(Workspace(tmp_path), Version("plain", 1, RUN))
    assert (["train", "evaluate", "judge"], []) == ([step["step"] for step in found["steps"]], found["verdicts"])
    assert any(line.startswith("judge (execution") for line in lineage.describe(found, Workspace(tmp_path)))


def test_all_verdicts_on_a_model_are_shown_with_their_reasons(ledger, tmp_path):
    model = ledger.execute("train", "model", "Model")
    other = ledger.execute("train", "model", "Model", run="plain-20260101-000000-bbbb")
    good = {"blessed": 1, "reasons": "[]", "conditions": json.dumps(["accuracy is 0.9"])}
    bad = {
        "blessed": 0,
        "reasons": json.dumps(["loss is 3"]),
        "conditions": json.dumps(["accuracy is 0.9", "loss is 3"]),
    }
    later = "plain-20260102-000000-cccc"
    ledger.execute("gate", "blessing", blessing.BLESSING_TYPE, current_model_id=model, **good)
    ledger.execute("gate", "blessing", blessing.BLESSING_TYPE, later, current_model_id=model, baseline_version=1, **bad)
    ledger.execute("gate", "blessing", blessing.BLESSING_TYPE, later, current_model_id=other, **good)
    found = lineage.trace_version(Workspace(tmp_path), Version("plain", 1, RUN))
    assert [(RUN, True, None), (later, False, 1)] == [
        (verdict["run_id"], verdict["blessed"], verdict["baseline_version"]) for verdict in found["verdicts"]
    ]
    lines = lineage.describe(found, Workspace(tmp_path))
    first = next(number for number, line in enumerate(lines) if "blessed by" in line)
    assert f"  blessed by run {RUN} (blessing" in lines[first]
    assert "    accuracy is 0.9" == lines[first + 1]
    assert f"  not blessed by run {later} (blessing" in lines[first + 2]
    assert lines[first + 2].endswith(", compared with version 1)")
    assert "    loss is 3" == lines[first + 3]


def test_many_sentences_are_cut():
    words = [f"accuracy on slice {number}" for number in range(lineage.MOST_SENTENCES + 3)]
    about = {"artifact": 1, "run_id": RUN, "blessed": True, "reasons": [], "baseline_version": None}
    lines = lineage._verdict_lines({**about, "conditions": words})
    assert ("    … and 3 more", lineage.MOST_SENTENCES + 2) == (lines[-1], len(lines))


def test_lineage_after_ml_metadata_began_anew_is_the_journals(ledger, tmp_path):
    ledger.execute("train", "model", "Model", run="plain-20260202-000000-bbbb")  # gets the ids of the lost ones
    folder = Workspace(tmp_path).run(RUN)
    folder.root.mkdir(parents=True)
    output = {"id": 1, "type": "Model", "uri": "artifacts/plain/train/model/7"}
    events = [
        {"event": "step", "name": "train", "state": "started", "seconds": 0.0},
        {"event": "execution", "name": "train", "execution_id": 7, "inputs": {}, "outputs": {"model": [output]}},
        {"event": "step", "name": "train", "state": "done", "seconds": 2.5},
    ]
    folder.journal.write_text("".join(json.dumps({"time": 1.0, **event}) + "\n" for event in events))
    lines = lineage.trace_version(Workspace(tmp_path), Version("plain", 1, RUN))
    (step,) = lines["steps"]
    assert ("train", "complete", 2.5, "") == (step["step"], step["state"], step["seconds"], step["made_by"])
    assert str(tmp_path / output["uri"]) == step["outputs"]["model"]["path"]
    assert [] == lines["verdicts"]
