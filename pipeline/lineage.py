"""Where a published version comes from: data, statistics, preprocessing, training, verdict, and where it is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import account, champion
from pipeline.judging import blessing
from pipeline.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.provenance import Artifact, Execution
    from pipeline.version import Version
    from pipeline.workspace import Workspace

DIGEST_CHARACTERS = 12
MOST_SENTENCES = 12


def lineage(workspace: Workspace, version: Version) -> dict[str, Any]:
    """The way of a version as JSON.

    Returns:
        `version`, `path`, `aliases`, `run_id`, `mlflow_run_id`, `data_digest`, `code_digest`, `trial` (of a
        search that found the hyperparameters, or empty), `params`, `steps`: a list of {step, execution, state,
        seconds, made_by, inputs, outputs}, the last two as {name: {artifact, type, path, there}}, and `verdicts`: a
        list of {artifact, run_id, blessed, reasons, conditions, baseline_version}, one for each time that the gate has
        looked at the model.
    """
    source = Provenance(workspace)
    told = account.read(workspace, version.run_id)
    stands = champion.standing(workspace, version.name).aliases
    executions = source.executions(version.run_id)
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
        "steps": [_step(source, execution) for execution in executions],
        "verdicts": _verdicts(source, executions),
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


def _verdicts(source: Provenance, executions: Iterable[Execution]) -> list[dict[str, Any]]:
    """What the gate has said of the model; nothing of runs from before it wrote that into ML Metadata."""
    models = [one.outputs["model"] for one in executions if one.step == "train" and "model" in one.outputs]
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
    for verdict in found["verdicts"]:
        lines += _verdict_lines(verdict)
    for step in found["steps"]:
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
    taken = ", ".join(f"{name} {artifact['artifact']}" for name, artifact in step["inputs"].items())
    lines = [f"{step['step']} (execution {step['execution']}, {how})"]
    lines += [f"  from {taken}"] if taken else []
    return lines + [_given(name, artifact, workspace) for name, artifact in step["outputs"].items()]


def _given(name: str, artifact: Mapping[str, Any], workspace: Workspace) -> str:
    path = artifact["path"].removeprefix(f"{workspace}/")
    return f"  {name} {artifact['artifact']}: {artifact['type']} in {path}{'' if artifact['there'] else ' (removed)'}"
