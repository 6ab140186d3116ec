"""Executions, artifacts and verdicts of a workspace from ML Metadata, read without TFX, whose import takes seconds.

Source: ML Metadata's model of artifacts, executions, events and contexts, as TFX's launcher writes it: an execution
belongs to the context of its run ("RUN_ID@ATTEMPT") and to that of its step ("RECIPE.STEP").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.evaluation import blessing
from pipeline.store import journal, relocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto.metadata_store_pb2 import Artifact as Stored
    from ml_metadata.proto.metadata_store_pb2 import Execution as StoredExecution

    from pipeline.store.layout import Workspace


RUN_CONTEXT = "pipeline_run"
JOURNAL_STATES = {"done": "complete", "cached": "cached", "failed": "failed"}


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
            return read_journal(self._workspace, run_id)
        last = max(attempts, key=lambda context: context.id)
        stored = sorted(self._store.get_executions_by_context(last.id), key=lambda execution: execution.id)
        seconds = {execution.step: execution.seconds for execution in read_journal(self._workspace, run_id)}
        return [self._execution(execution, seconds) for execution in stored]

    def maker(self, artifact: Artifact) -> str:
        """Returns the id of the run whose step made an artifact; empty if unknown."""
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        if self._store is None or not self._knows(artifact):
            return ""
        events = self._store.get_events_by_artifact_ids([artifact.id])
        executions = [event.execution_id for event in events if event.type == mlmd.Event.OUTPUT]
        contexts = self._store.get_contexts_by_execution(min(executions)) if executions else []
        return next((context.name.partition("@")[0] for context in contexts if context.type == RUN_CONTEXT), "")

    def blessings(self, model: Artifact) -> list[Artifact]:
        """Returns all verdicts on a model, oldest first: of the run that made it, and of later data or gates."""
        if self._store is None or not self._knows(model):
            return []
        stored = self._store.get_artifacts_by_type(blessing.BLESSING_TYPE)
        artifacts = [_to_artifact(self._workspace, item) for item in sorted(stored, key=lambda item: item.id)]
        # TFX's Evaluator writes no reasons; in old workspaces, whose gate did not bless, its blessing is no verdict.
        verdicts = [item for item in artifacts if blessing.REASONS in item.properties]
        return [item for item in verdicts if item.properties[blessing.MODEL_ID] == model.id]

    def _knows(self, artifact: Artifact) -> bool:
        """Whether ML Metadata has this artifact: after a repair it begins anew, and gives the same id to another."""
        stored = self._store.get_artifacts_by_id([artifact.id]) if self._store else []
        return any(relocation.locate(self._workspace, item.uri) == artifact.uri for item in stored)

    def _contexts(self, run_id: str = "") -> Iterator[Any]:
        for context in self._store.get_contexts_by_type(RUN_CONTEXT) if self._store else []:
            if not run_id or context.name.partition("@")[0] == run_id:
                yield context

    def _execution(self, stored: StoredExecution, seconds: Mapping[str, float]) -> Execution:
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        assert self._store is not None
        events = self._store.get_events_by_execution_ids([stored.id])
        artifacts = {
            artifact.id: _to_artifact(self._workspace, artifact)
            for artifact in self._store.get_artifacts_by_id([e.artifact_id for e in events])
        }
        nodes = [c.name for c in self._store.get_contexts_by_execution(stored.id) if c.type == "node"]
        step = nodes[0].partition(".")[2]
        # The recorder, too, updates an execution, perhaps much later: its run's journal knows better.
        lasted = (stored.last_update_time_since_epoch - stored.create_time_since_epoch) / 1000
        return Execution(
            stored.id,
            step,
            mlmd.Execution.State.Name(stored.last_known_state).lower(),
            seconds.get(step) or lasted,
            _artifacts_by_name(events, artifacts, (mlmd.Event.INPUT, mlmd.Event.DECLARED_INPUT)),
            _artifacts_by_name(events, artifacts, (mlmd.Event.OUTPUT, mlmd.Event.DECLARED_OUTPUT)),
        )


def read_journal(workspace: Workspace, run_id: str) -> list[Execution]:
    """Returns the steps of a run from its journal, where ML Metadata does not have them because it was damaged."""
    ends: dict[str, Mapping[str, Any]] = {}
    executions: dict[str, Mapping[str, Any]] = {}
    for event, _ in journal.iter_events(workspace.run(run_id).journal):
        if event["event"] == "step":
            ends[event["name"]] = event
        elif event["event"] == "execution":
            executions[event["name"]] = event
    return [_execution_of_journal(workspace, ends.get(name, {}), event) for name, event in executions.items()]


def _execution_of_journal(workspace: Workspace, end: Mapping[str, Any], event: Mapping[str, Any]) -> Execution:
    inputs, outputs = (
        {name: _artifact_of_journal(workspace, group[0]) for name, group in event[side].items() if group}
        for side in ("inputs", "outputs")
    )
    state = JOURNAL_STATES.get(end.get("state", ""), "running")
    return Execution(event["execution_id"], event["name"], state, end.get("seconds") or 0.0, inputs, outputs)


def _artifact_of_journal(workspace: Workspace, item: Mapping[str, Any]) -> Artifact:
    path = str(workspace.inside(item["uri"]))  # an old journal has absolute paths
    return Artifact(item["id"], item["type"], relocation.locate(workspace, path), {})


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
