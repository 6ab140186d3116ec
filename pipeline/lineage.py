"""Where a published version comes from: data, statistics, preprocessing, training, verdict, and where it is served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import account, champion
from pipeline.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.provenance import Artifact, Execution
    from pipeline.version import Version
    from pipeline.workspace import Workspace

DIGEST_CHARACTERS = 12


def lineage(workspace: Workspace, version: Version) -> dict[str, Any]:
    """The way of a version as JSON.

    Returns:
        `version`, `path`, `aliases`, `run_id`, `mlflow_run_id`, `data_digest`, `code_digest`, `trial` (of a
        search that found the hyperparameters, or empty), `params`, and `steps`: a list of {step, execution, state,
        seconds, made_by, inputs, outputs}, the last two as {name: {artifact, type, path, there}}.
    """
    source = Provenance(workspace)
    told = account.read(workspace, version.run_id)
    stands = champion.standing(workspace, version.name).aliases
    return {
        "version": str(version),
        "path": str(workspace.model(version.name, version.number)),
        "aliases": [alias for alias, number in stands.items() if number == version.number],
        "run_id": version.run_id,
        "mlflow_run_id": told.result.get("mlflow_run_id"),
        "data_digest": told.tags.get("data_digest", ""),
        "code_digest": told.tags.get("code_digest", ""),
        "trial": told.tags.get("trial", ""),
        "params": told.params,
        "steps": [_step(source, execution) for execution in source.executions(version.run_id)],
    }


def _step(source: Provenance, execution: Execution) -> dict[str, Any]:
    return {
        "step": execution.step,
        "execution": execution.id,
        "state": execution.state,
        "seconds": execution.seconds,
        "made_by": next((source.maker(artifact) for artifact in execution.outputs.values()), ""),
        "inputs": {name: _described(artifact) for name, artifact in execution.inputs.items()},
        "outputs": {name: _described(artifact) for name, artifact in execution.outputs.items()},
    }


def _described(artifact: Artifact) -> dict[str, Any]:
    there = Path(artifact.uri).exists()
    return {"artifact": artifact.id, "type": artifact.type, "path": artifact.uri, "there": there}


def text(found: Mapping[str, Any], workspace: Workspace) -> list[str]:
    """What a person reads: one step after the other, each with what it took and what it gave."""
    aliases = f" ({', '.join(found['aliases'])})" if found["aliases"] else ""
    lines = [f"{found['version']}{aliases}", f"  {found['path']}"]
    lines += [f"  made by run {found['run_id'] or '(no longer recorded)'}"]
    lines += [f"  MLflow run {found['mlflow_run_id']}"] if found["mlflow_run_id"] else []
    lines += [
        f"  {what} {found[f'{what}_digest'][:DIGEST_CHARACTERS]}"
        for what in ("data", "code")
        if found[f"{what}_digest"]
    ]
    lines += [f"  hyperparameters of {found['trial']}"] if found["trial"] else []
    for step in found["steps"]:
        lines += ["", *_step_lines(step, workspace)]
    return lines


def _step_lines(step: Mapping[str, Any], workspace: Workspace) -> list[str]:
    how = f"from the cache, made by run {step['made_by']}" if step["state"] == "cached" else f"{step['seconds']:.1f} s"
    if step["state"] not in ("cached", "complete"):
        how = step["state"]
    taken = ", ".join(f"{name} {artifact['artifact']}" for name, artifact in step["inputs"].items())
    lines = [f"{step['step']} (execution {step['execution']}, {how})"]
    lines += [f"  from {taken}"] if taken else []
    return lines + [_given(name, artifact, workspace) for name, artifact in step["outputs"].items()]


def _given(name: str, artifact: Mapping[str, Any], workspace: Workspace) -> str:
    path = artifact["path"].removeprefix(f"{workspace}/")
    return f"  {name} {artifact['artifact']}: {artifact['type']} in {path}{'' if artifact['there'] else ' (removed)'}"
