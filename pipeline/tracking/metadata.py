"""MLflow's ids in ML Metadata, so that the way from an execution or an artifact to its run needs no search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.workspace import Workspace

PROPERTY = "mlflow_run_id"


def link(workspace: Workspace, event: Mapping[str, Any], step_run: str, run: str) -> None:
    """Puts the child run's id on the step's execution, and the run's id on the context of the pipeline run.

    The step is over by now, and nobody else writes these two entries; ML Metadata itself waits for SQLite's lock.

    Args:
        workspace: Holds the store.
        event: The event `execution`.
        step_run: MLflow's run of the step.
        run: MLflow's run of the whole.

    Raises:
        LookupError: The store knows neither of the two, such as one that was deleted meanwhile.
    """
    store = _open(workspace.metadata_db)
    executions = store.get_executions_by_id([event["execution_id"]])
    contexts = store.get_contexts_by_id([event["context_id"]])
    if not executions or not contexts:
        raise LookupError(f"{workspace.metadata_db} has no execution {event['execution_id']}")
    for node, value in ((executions[0], step_run), (contexts[0], run)):
        node.custom_properties[PROPERTY].string_value = value
    store.put_executions(executions)
    store.put_contexts(contexts)


def _open(path: Path) -> Any:
    from ml_metadata.metadata_store.metadata_store import MetadataStore
    from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig

    if not path.exists():
        raise LookupError(f"{path} is gone")
    return MetadataStore(ConnectionConfig(sqlite={"filename_uri": str(path)}))
