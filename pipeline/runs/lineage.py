"""The lineage of a published version: its data, the executions of its steps, and the verdicts of the gate.

The gate is the check that decides whether a model may go live; a model that passes it is blessed. ML Metadata is read
without importing TFX, which takes seconds.

Source: ML Metadata's model of artifacts, executions, events and contexts, as TFX's launcher writes it: an execution
belongs to the context of its run ("RUN_ID@ATTEMPT") and to that of its step ("RECIPE.STEP").
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.evaluation import blessing
from pipeline.runs import record
from pipeline.store import champions, relocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto.metadata_store_pb2 import Artifact as Stored
    from ml_metadata.proto.metadata_store_pb2 import Execution as StoredExecution

    from pipeline.runs.versions import Version
    from pipeline.store.layout import Workspace


DIGEST_CHARACTERS = 12
MOST_SENTENCES = 12
RUN_CONTEXT = "pipeline_run"


def trace_version(workspace: Workspace, version: Version) -> dict[str, Any]:
    """Returns the lineage of a version as JSON.

    Returns:
        `version`, `path`, `aliases`, `run_id`, `mlflow_run_id`, `data_digest`, `code_digest`, `trial` (the search that
        found the hyperparameters; or empty), `params`, `steps`: a list of {step, execution, state, seconds, made_by,
        inputs, outputs}, the last two as {name: {artifact, type, path, there}}, and `verdicts`: a list of {artifact,
        run_id, blessed, reasons, conditions, baseline_version}, one for each evaluation of the model by the gate.
    """
    source = Provenance(workspace)
    run = record.read_record(workspace, version.run_id)
    aliases = champions.current_entry(workspace, version.name).aliases
    executions = source.executions(version.run_id)
    return {
        "version": str(version),
        "path": str(workspace.model(version.name, version.number)),
        "aliases": [alias for alias, number in aliases.items() if number == version.number],
        "run_id": version.run_id,
        "mlflow_run_id": run.result.get("mlflow_run_id"),
        "data_digest": run.tags.get("data_digest", ""),
        "code_digest": run.tags.get("code_digest", ""),
        "trial": run.tags.get("trial", ""),
        "params": run.params,
        "steps": [_step_to_dict(source, execution) for execution in executions],
        "verdicts": _verdicts(source, executions),
    }


def _step_to_dict(source: Provenance, execution: Execution) -> dict[str, Any]:
    return {
        "step": execution.step,
        "execution": execution.id,
        "state": execution.state,
        "seconds": execution.seconds,
        "made_by": next((source.maker(artifact) for artifact in execution.outputs.values()), ""),
        "inputs": {name: _artifact_to_dict(artifact) for name, artifact in execution.inputs.items()},
        "outputs": {name: _artifact_to_dict(artifact) for name, artifact in execution.outputs.items()},
    }


def _artifact_to_dict(artifact: Artifact) -> dict[str, Any]:
    exists = Path(artifact.uri).exists()
    return {"artifact": artifact.id, "type": artifact.type, "path": artifact.uri, "there": exists}


def _verdicts(source: Provenance, executions: Iterable[Execution]) -> list[dict[str, Any]]:
    """Returns the gate's verdicts on the model; none of runs before the gate wrote them to ML Metadata."""
    models = [
        execution.outputs["model"]
        for execution in executions
        if execution.step == "train" and "model" in execution.outputs
    ]
    return [
        {
            "artifact": artifact.id,
            "run_id": source.maker(artifact),
            "blessed": artifact.properties[blessing.BLESSED] == 1,
            "reasons": json.loads(artifact.properties[blessing.REASONS]),
            "conditions": json.loads(artifact.properties[blessing.CONDITIONS]),
            "baseline_version": artifact.properties.get(blessing.BASELINE_VERSION),
        }
        for model in models
        for artifact in source.blessings(model)
    ]


def describe(lineage: Mapping[str, Any], workspace: Workspace) -> list[str]:
    """Renders the lineage as lines of text: the steps in order, with inputs and outputs."""
    aliases = f" ({', '.join(lineage['aliases'])})" if lineage["aliases"] else ""
    lines = [f"{lineage['version']}{aliases}", f"  {lineage['path']}"]
    lines += [f"  made by run {lineage['run_id'] or '(no longer recorded)'}"]
    lines += [f"  MLflow run {lineage['mlflow_run_id']}"] if lineage["mlflow_run_id"] else []
    lines += [
        f"  {what} {lineage[f'{what}_digest'][:DIGEST_CHARACTERS]}"
        for what in ("data", "code")
        if lineage[f"{what}_digest"]
    ]
    lines += [f"  hyperparameters of {lineage['trial']}"] if lineage["trial"] else []
    for verdict in lineage["verdicts"]:
        lines += _verdict_lines(verdict)
    for step in lineage["steps"]:
        lines += ["", *_step_lines(step, workspace)]
    return lines


def _verdict_lines(verdict: Mapping[str, Any]) -> list[str]:
    live = f", compared with version {verdict['baseline_version']}" if verdict["baseline_version"] else ""
    word = "blessed" if verdict["blessed"] else "not blessed"
    sentences = verdict["conditions"] if verdict["blessed"] else verdict["reasons"]
    lines = [f"  {word} by run {verdict['run_id']} (blessing {verdict['artifact']}{live})"]
    lines += [f"    {sentence}" for sentence in sentences[:MOST_SENTENCES]]
    more = len(sentences) - MOST_SENTENCES
    return lines + ([f"    … and {more} more"] if more > 0 else [])


def _step_lines(step: Mapping[str, Any], workspace: Workspace) -> list[str]:
    how = f"from the cache, made by run {step['made_by']}" if step["state"] == "cached" else f"{step['seconds']:.1f} s"
    if step["state"] not in ("cached", "complete"):
        how = step["state"]
    inputs = ", ".join(f"{name} {artifact['artifact']}" for name, artifact in step["inputs"].items())
    lines = [f"{step['step']} (execution {step['execution']}, {how})"]
    lines += [f"  from {inputs}"] if inputs else []
    return lines + [_output_line(name, artifact, workspace) for name, artifact in step["outputs"].items()]


def _output_line(name: str, artifact: Mapping[str, Any], workspace: Workspace) -> str:
    path = artifact["path"].removeprefix(f"{workspace}/")
    return f"  {name} {artifact['artifact']}: {artifact['type']} in {path}{'' if artifact['there'] else ' (removed)'}"


@dataclass(frozen=True)
class Artifact:
    """An output of a step.

    Attributes:
        id: Its number in ML Metadata.
        type: For instance "Examples".
        uri: Its folder or file.
        properties: Its custom properties, which the step has set.
    """

    id: int
    type: str
    uri: str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Execution:
    """A step of a run.

    Attributes:
        id: Its number in ML Metadata.
        step: For instance "ingest".
        state: "complete", "cached", "failed", "running", … .
        seconds: Its duration.
        inputs: Artifacts by the name of the input.
        outputs: Artifacts by the name of the output; those of a cached step belong to the run that made them.
    """

    id: int
    step: str
    state: str
    seconds: float
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    outputs: Mapping[str, Artifact] = field(default_factory=dict)


class Provenance:
    """Reads ML Metadata of a workspace.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = _open_store(workspace)

    def runs(self) -> list[str]:
        """Returns the ids of all runs in ML Metadata."""
        return sorted({context.name.partition("@")[0] for context in self._contexts()})

    def executions(self, run_id: str) -> list[Execution]:
        """Returns the steps of a run in order; after a kill, those of its last attempt."""
        attempts = list(self._contexts(run_id))
        if self._store is None or not attempts:
            return []
        last = max(attempts, key=lambda context: context.id)
        stored = sorted(self._store.get_executions_by_context(last.id), key=lambda execution: execution.id)
        return [self._execution(execution) for execution in stored]

    def maker(self, artifact: Artifact) -> str:
        """Returns the id of the run whose step made an artifact; empty if unknown."""
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        if self._store is None:
            return ""
        events = self._store.get_events_by_artifact_ids([artifact.id])
        executions = [event.execution_id for event in events if event.type == mlmd.Event.OUTPUT]
        contexts = self._store.get_contexts_by_execution(min(executions)) if executions else []
        return next((context.name.partition("@")[0] for context in contexts if context.type == RUN_CONTEXT), "")

    def blessings(self, model: Artifact) -> list[Artifact]:
        """Returns all verdicts on a model, oldest first: of the run that made it, and of later data or gates."""
        stored = self._store.get_artifacts_by_type(blessing.BLESSING_TYPE) if self._store else []
        artifacts = [_to_artifact(self._workspace, item) for item in sorted(stored, key=lambda item: item.id)]
        # TFX's Evaluator writes no reasons; in old workspaces, whose gate did not bless, its blessing is no verdict.
        verdicts = [item for item in artifacts if blessing.REASONS in item.properties]
        return [item for item in verdicts if item.properties[blessing.MODEL_ID] == model.id]

    def _contexts(self, run_id: str = "") -> Iterator[Any]:
        for context in self._store.get_contexts_by_type(RUN_CONTEXT) if self._store else []:
            if not run_id or context.name.partition("@")[0] == run_id:
                yield context

    def _execution(self, stored: StoredExecution) -> Execution:
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        assert self._store is not None
        events = self._store.get_events_by_execution_ids([stored.id])
        artifacts = {
            artifact.id: _to_artifact(self._workspace, artifact)
            for artifact in self._store.get_artifacts_by_id([e.artifact_id for e in events])
        }
        nodes = [c.name for c in self._store.get_contexts_by_execution(stored.id) if c.type == "node"]
        return Execution(
            stored.id,
            nodes[0].partition(".")[2],
            mlmd.Execution.State.Name(stored.last_known_state).lower(),
            (stored.last_update_time_since_epoch - stored.create_time_since_epoch) / 1000,
            _artifacts_by_name(events, artifacts, (mlmd.Event.INPUT, mlmd.Event.DECLARED_INPUT)),
            _artifacts_by_name(events, artifacts, (mlmd.Event.OUTPUT, mlmd.Event.DECLARED_OUTPUT)),
        )


def _open_store(workspace: Workspace) -> MetadataStore | None:
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    path = workspace.metadata_db
    if not path.exists():
        return None
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READONLY
    return MetadataStore(config)


def _artifacts_by_name(
    events: Iterable[Any], artifacts: Mapping[int, Artifact], kinds: tuple[int, ...]
) -> dict[str, Artifact]:
    return {event.path.steps[0].key: artifacts[event.artifact_id] for event in events if event.type in kinds}


def _to_artifact(workspace: Workspace, stored: Stored) -> Artifact:
    values = {name: getattr(value, value.WhichOneof("value")) for name, value in stored.custom_properties.items()}
    return Artifact(stored.id, stored.type, relocation.locate(workspace, stored.uri), values)
