"""The lineage of a published version: its data, the executions of its steps, and the verdicts of the gate.

The gate is the check that decides whether a model may go live; a model that passes it is blessed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.evaluation import blessing
from pipeline.runs import record
from pipeline.runs.provenance import Artifact, Execution, Provenance
from pipeline.store import champions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.runs.versions import Version
    from pipeline.store.layout import Workspace


DIGEST_CHARACTERS = 12
MOST_SENTENCES = 12


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
    maker = f", made by run {step['made_by']}" if step["made_by"] else ""
    how = f"from the cache{maker}" if step["state"] == "cached" else f"{step['seconds']:.1f} s"
    if step["state"] not in ("cached", "complete"):
        how = step["state"]
    inputs = ", ".join(f"{name} {artifact['artifact']}" for name, artifact in step["inputs"].items())
    lines = [f"{step['step']} (execution {step['execution']}, {how})"]
    lines += [f"  from {inputs}"] if inputs else []
    return lines + [_output_line(name, artifact, workspace) for name, artifact in step["outputs"].items()]


def _output_line(name: str, artifact: Mapping[str, Any], workspace: Workspace) -> str:
    path = artifact["path"].removeprefix(f"{workspace}/")
    return f"  {name} {artifact['artifact']}: {artifact['type']} in {path}{'' if artifact['there'] else ' (removed)'}"
