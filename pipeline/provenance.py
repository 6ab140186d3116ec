"""What the steps of a run took and gave, as ML Metadata tells it; read without importing TFX, which takes seconds.

Source: ML Metadata's model of artifacts, executions, events and contexts, as TFX's launcher writes it: an execution
belongs to the context of its run ("RUN_ID@ATTEMPT") and to that of its step ("RECIPE.STEP").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.judging import blessing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto.metadata_store_pb2 import Artifact as Stored
    from ml_metadata.proto.metadata_store_pb2 import Execution as StoredExecution

    from pipeline.workspace import Workspace

RUN = "pipeline_run"


@dataclass(frozen=True)
class Artifact:
    """What a step gave.

    Attributes:
        id: Its number in ML Metadata.
        type: For instance "Examples".
        uri: Its folder or file.
        properties: What its step has noted on it: the custom properties.
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
        seconds: How long it took.
        inputs: Artifacts by the name of the input.
        outputs: Artifacts by the name of the output; those of a cached step are of the run that made them.
    """

    id: int
    step: str
    state: str
    seconds: float
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    outputs: Mapping[str, Artifact] = field(default_factory=dict)


class Provenance:
    """ML Metadata of a workspace, to be read.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._store = _opened(workspace)

    def runs(self) -> list[str]:
        """Ids of all runs that ML Metadata knows."""
        return sorted({context.name.partition("@")[0] for context in self._contexts()})

    def executions(self, run_id: str) -> list[Execution]:
        """The steps of a run in their order; of a run that was killed and went on, those of its last attempt."""
        attempts = list(self._contexts(run_id))
        if self._store is None or not attempts:
            return []
        last = max(attempts, key=lambda context: context.id)
        stored = sorted(self._store.get_executions_by_context(last.id), key=lambda execution: execution.id)
        return [self._execution(execution) for execution in stored]

    def maker(self, artifact: Artifact) -> str:
        """Id of the run whose step made an artifact; empty if it is not known."""
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        if self._store is None:
            return ""
        events = self._store.get_events_by_artifact_ids([artifact.id])
        given = [event.execution_id for event in events if event.type == mlmd.Event.OUTPUT]
        contexts = self._store.get_contexts_by_execution(min(given)) if given else []
        return next((context.name.partition("@")[0] for context in contexts if context.type == RUN), "")

    def blessings(self, model: Artifact) -> list[Artifact]:
        """All verdicts on a model, the oldest first: that of the run that made it, and those of later data or gates."""
        stored = self._store.get_artifacts_by_type(blessing.TYPE) if self._store else []
        found = [_artifact(one) for one in sorted(stored, key=lambda one: one.id)]
        # TFX's Evaluator writes no reasons; in workspaces from before the gate blessed, its word was not the verdict.
        verdicts = [one for one in found if blessing.REASONS in one.properties]
        return [one for one in verdicts if one.properties[blessing.MODEL_ID] == model.id]

    def _contexts(self, run_id: str = "") -> Iterator[Any]:
        for context in self._store.get_contexts_by_type(RUN) if self._store else []:
            if not run_id or context.name.partition("@")[0] == run_id:
                yield context

    def _execution(self, stored: StoredExecution) -> Execution:
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        assert self._store is not None
        events = self._store.get_events_by_execution_ids([stored.id])
        found = {artifact.id: artifact for artifact in self._store.get_artifacts_by_id([e.artifact_id for e in events])}
        nodes = [c.name for c in self._store.get_contexts_by_execution(stored.id) if c.type == "node"]
        return Execution(
            stored.id,
            nodes[0].partition(".")[2],
            mlmd.Execution.State.Name(stored.last_known_state).lower(),
            (stored.last_update_time_since_epoch - stored.create_time_since_epoch) / 1000,
            _named(events, found, (mlmd.Event.INPUT, mlmd.Event.DECLARED_INPUT)),
            _named(events, found, (mlmd.Event.OUTPUT, mlmd.Event.DECLARED_OUTPUT)),
        )


def _opened(workspace: Workspace) -> MetadataStore | None:
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    path = workspace.metadata_db
    if not path.exists():
        return None
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READONLY
    return MetadataStore(config)


def _named(events: Iterable[Any], found: Mapping[int, Stored], kinds: tuple[int, ...]) -> dict[str, Artifact]:
    return {event.path.steps[0].key: _artifact(found[event.artifact_id]) for event in events if event.type in kinds}


def _artifact(stored: Stored) -> Artifact:
    values = {name: getattr(value, value.WhichOneof("value")) for name, value in stored.custom_properties.items()}
    return Artifact(stored.id, stored.type, stored.uri, values)
