"""ML Metadata of a workspace: the artifacts of executions, and executions that killed runs left as running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.metadata import Metadata, sqlite_metadata_connection_config
from tfx.orchestration.portable.mlmd import execution_lib

from pipeline.runs import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.store.layout import Workspace


def open_store(workspace: Workspace) -> Metadata:
    """Returns the workspace's ML Metadata store, a context manager."""
    return Metadata(sqlite_metadata_connection_config(str(workspace.metadata_db)))


def output_artifacts(metadata: Metadata, execution_id: int) -> dict[str, Any]:
    """Returns the first artifact of each output of an execution, cached or not."""
    by_name = execution_lib.get_output_artifacts(metadata, execution_id)
    return {name: artifacts[0] for name, artifacts in by_name.items() if artifacts}


def execution_to_event(metadata: Metadata, pipeline_run: str, node: str) -> dict[str, Any] | None:
    """Returns a step's execution for the journal: ids, and inputs and outputs as {name: [{"id", "type", "uri"}]}.

    Args:
        metadata: The opened store.
        pipeline_run: Name of the pipeline run.
        node: Name of the node, `PIPELINE.STEP`.

    Returns:
        None if the step failed before the execution was registered.
    """
    names = {"pipeline_run": pipeline_run, "node": node}
    contexts = [metadata.store.get_context_by_type_and_name(kind, name) for kind, name in names.items()]
    if not all(contexts):
        return None
    of_run, of_node = ({execution.id for execution in metadata.store.get_executions_by_context(c.id)} for c in contexts)
    if not of_run & of_node:
        return None
    newest = max(of_run & of_node)
    return {
        "execution_id": newest,
        "context_id": contexts[0].id,
        "pipeline_run": pipeline_run,
        "inputs": _artifacts_to_dict(execution_lib.get_input_artifacts(metadata, newest)),
        "outputs": _artifacts_to_dict(execution_lib.get_output_artifacts(metadata, newest)),
    }


def _artifacts_to_dict(artifacts: Mapping[str, Iterable[Any]]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{"id": artifact.id, "type": artifact.type_name, "uri": artifact.uri} for artifact in group]
        for name, group in artifacts.items()
    }


def is_cached(metadata: Metadata, execution_id: int) -> bool:
    """Returns whether an execution took its outputs from the cache."""
    (execution,) = metadata.store.get_executions_by_id([execution_id])
    return bool(execution.last_known_state == mlmd.Execution.CACHED)


def fail_dead_executions(metadata: Metadata, workspace: Workspace, own: str) -> int:
    """Marks running executions of runs without a process as failed; returns their number.

    Args:
        metadata: The opened store.
        workspace: The workspace.
        own: Id of the run that is starting: its executions of an earlier, killed process are dead too.
    """
    running = [e for e in metadata.store.get_executions() if e.last_known_state == mlmd.Execution.RUNNING]
    dead = [
        e
        for e in running
        if _find_run_id(metadata, e.id) == own or not run.is_running(workspace, _find_run_id(metadata, e.id))
    ]
    for execution in dead:
        execution.last_known_state = mlmd.Execution.FAILED
    if dead:
        metadata.store.put_executions(dead)
    return len(dead)


def _find_run_id(metadata: Metadata, execution_id: int) -> str:
    contexts = metadata.store.get_contexts_by_execution(execution_id)
    kinds = {kind.id: kind.name for kind in metadata.store.get_context_types()}
    names = [context.name for context in contexts if kinds[context.type_id] == "pipeline_run"]
    return names[0].partition("@")[0] if names else ""
