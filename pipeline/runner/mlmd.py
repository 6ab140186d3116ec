"""ML Metadata of a workspace: the artifacts of executions, and executions that killed runs left as running."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.metadata import Metadata, sqlite_metadata_connection_config
from tfx.orchestration.portable import cache_utils
from tfx.orchestration.portable.mlmd import execution_lib

from pipeline.runs import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipeline.store.layout import Workspace


def open_store(workspace: Workspace) -> Metadata:
    """Returns the workspace's ML Metadata store, a context manager."""
    return Metadata(sqlite_metadata_connection_config(str(workspace.metadata_db)))


def output_artifacts(metadata: Metadata, execution_id: int) -> dict[str, Any]:
    """Returns the first artifact of each output of an execution, cached or not."""
    by_name = execution_lib.get_output_artifacts(metadata, execution_id)
    return {name: artifacts[0] for name, artifacts in by_name.items() if artifacts}


def execution_to_event(metadata: Metadata, workspace: Workspace, pipeline_run: str, node: str) -> dict[str, Any] | None:
    """Returns a step's execution for the journal: ids, and inputs and outputs as {name: [{"id", "type", "uri"}]}.

    Args:
        metadata: The opened store.
        workspace: The workspace; the paths are relative to it.
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
        "inputs": _artifacts_to_dict(workspace, execution_lib.get_input_artifacts(metadata, newest)),
        "outputs": _artifacts_to_dict(workspace, execution_lib.get_output_artifacts(metadata, newest)),
    }


def _artifacts_to_dict(workspace: Workspace, artifacts: Mapping[str, Iterable[Any]]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [
            {"id": artifact.id, "type": artifact.type_name, "uri": _relative_uri(workspace, artifact.uri)}
            for artifact in group
        ]
        for name, group in artifacts.items()
    }


def _relative_uri(workspace: Workspace, uri: str) -> str:
    path = Path(uri)
    return workspace.relative(path) if path.is_relative_to(workspace.root) else uri


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


@contextmanager
def cache_by_place(places: Mapping[Path, str]) -> Iterator[None]:
    """Makes TFX's cache independent of where some folders are, during the block.

    The key of TFX's cache is a digest of the whole inputs and parameters, with their absolute paths. So nothing would
    be found in the cache after a move of the workspace or of the recipes.

    Args:
        places: A fixed name for each folder. The digests among a step's parameters cover what the folders contain.
    """
    original = cache_utils.get_cache_context

    def get_cache_context(*args: Any, **kwargs: Any) -> mlmd.Context:
        kwargs["input_artifacts"] = {
            name: [_replace_places(artifact, places) for artifact in group]
            for name, group in (kwargs.get("input_artifacts") or {}).items()
        }
        kwargs["parameters"] = {
            name: _without_places(value, places) for name, value in (kwargs.get("parameters") or {}).items()
        }
        return original(*args, **kwargs)

    cache_utils.get_cache_context = get_cache_context
    try:
        yield
    finally:
        cache_utils.get_cache_context = original


def _replace_places(artifact: Any, places: Mapping[Path, str]) -> Any:
    replaced = copy.deepcopy(artifact)
    replaced.uri = _without_places(artifact.uri, places)
    return replaced


def _without_places(value: Any, places: Mapping[Path, str]) -> Any:
    """Returns a text with the names for the folders; a longer path is replaced before one that contains it."""
    if not isinstance(value, str):
        return value
    for folder in sorted(places, key=lambda path: len(str(path)), reverse=True):
        value = value.replace(f"{folder}/", f"{places[folder]}/")
        value = places[folder] if value == str(folder) else value
    return value
