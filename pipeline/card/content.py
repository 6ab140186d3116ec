"""What a card says, as plain values, taken from the run's record alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pipeline import account, atomic, journal
from pipeline.card import limits, request
from pipeline.provenance import Provenance
from pipeline.tracking.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.account import Account
    from pipeline.catalogue import Source
    from pipeline.workspace import Workspace

FIELDS = ("Paper", "Data", "Task", "Command", "Reaches")  # of a docstring


def content(workspace: Workspace, source: Source, run_id: str) -> dict[str, Any]:
    """The card of what a run made; what the run did not come to is empty.

    Args:
        workspace: The workspace.
        source: The recipe.
        run_id: The run.
    """
    told = account.read(workspace, run_id)
    events = _events(workspace.run(run_id).journal)
    name, published = source.name, events.get("publish", {})
    purpose, fields = paragraphs(source.docstring)
    return {
        "name": name,
        "version": published.get("version"),
        "alias": published.get("alias", ""),
        "run_id": run_id,
        "made": time.strftime("%Y-%m-%d", time.localtime(events["start"]["time"])) if events else "",
        "task": source.task,
        "title": source.title,
        "same_as": told.result.get("model_version"),
        "purpose": purpose,
        "said": {field: fields[field] for field in ("Paper", "Data") if field in fields},
        "data": _data(told, events),
        "gate": told.evaluation.get("gate", {}),
        "metrics": metrics(told.evaluation),
        "slices": slices(told.evaluation),
        "worst": worst(told.evaluation),
        "cost": told.evaluation.get("cost") or {},
        "training": {"params": told.params, "epochs": told.epochs, "diagnosis": told.result.get("diagnosis", "")},
        "limits": limits.limits(told),
        "lineage": _lineage(workspace, told, published),
        "call": _call(workspace, name, published, events.get("register", {})),
        "environment": _environment(workspace, events),
    }


def paragraphs(docstring: str) -> tuple[str, dict[str, str]]:
    """The recipe's own words without the title, and what it says under `Paper:` and the like, over several lines.

    Returns:
        The words, and the fields by name.
    """
    words: list[str] = []
    fields: dict[str, str] = {}
    field = ""
    for line in docstring.splitlines()[1:]:
        name, colon, rest = line.partition(": ")
        field = name if colon and name in FIELDS else field if line.strip() else ""
        if not field:
            words.append(line)
        else:
            fields[field] = f"{fields[field]} {line.strip()}" if field in fields and name != field else rest
    return "\n".join(words).strip("\n"), fields


def _events(path: Path) -> dict[str, dict[str, Any]]:
    """The last event of each kind; of `start` the first."""
    found = {event["event"]: event for event, _ in journal.read(path)}
    first = next((event for event, _ in journal.read(path)), None)
    return {**found, "start": first} if first else found


def metrics(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name, value, interval, the live model's value and the better direction of each metric."""
    baseline, intervals = evaluation.get("baseline") or {}, evaluation.get("intervals") or {}
    lower = evaluation.get("lower_is_better", [])
    return [
        {
            "name": name,
            "value": value,
            "interval": intervals.get(name),
            "live": baseline.get(name),
            "better": "lower" if name in lower else "higher",
        }
        for name, value in evaluation.get("metrics", {}).items()
    ]


def slices(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The slices, the worst first by the metric that leads; among equals the one that rests on fewer examples."""
    name, found = leading(evaluation), evaluation.get("slices") or []
    sign = -1 if name in evaluation.get("lower_is_better", []) else 1
    known = [one for one in found if one["metrics"].get(name) is not None]
    return sorted(known, key=lambda one: (sign * one["metrics"][name], one.get("examples") or 0))


def worst(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The slice in which the leading metric is worst, beside the whole; empty without slices."""
    found, name = slices(evaluation), leading(evaluation)
    if not found:
        return {}
    one = found[0]
    interval = (one.get("intervals") or {}).get(name)
    values = {"value": one["metrics"][name], "overall": evaluation["metrics"].get(name), "interval": interval}
    return {"slice": one["slice"], "examples": one.get("examples"), "metric": name, **values}


def leading(evaluation: Mapping[str, Any]) -> str:
    """The first metric that the gate asks something of, or else the first."""
    known = list(evaluation.get("metrics", {}))
    asked = [one["name"] for one in evaluation.get("gate", {}).get("conditions", []) if one["name"] in known]
    return next(iter([*asked, *known]), "")


def _data(told: Account, events: Mapping[str, Any]) -> dict[str, Any]:
    event = events.get("data", {})
    return {
        "digest": told.tags.get("data_digest") or event.get("digest", ""),
        "files": event.get("files", []),
        "rows": told.data.get("rows", {}),
        "classes": told.data.get("classes", {}),
        "bad": len(told.data.get("bad", [])),
    }


def _lineage(workspace: Workspace, told: Account, published: Mapping[str, Any]) -> dict[str, Any]:
    executions = Provenance(workspace).executions(told.run_id)
    steps = [
        {"step": one.step, "execution": one.id, "outputs": {name: a.id for name, a in one.outputs.items()}}
        for one in executions
    ]
    return {
        "data_digest": told.tags.get("data_digest", ""),
        "code_digest": told.tags.get("code_digest", ""),
        "model_digest": published.get("digest", ""),
        "mlflow_run_id": State.load(workspace.run(told.run_id)).mlflow_run_id,
        "parent": published.get("parent", ""),
        "steps": steps,
    }


def _call(
    workspace: Workspace, name: str, published: Mapping[str, Any], registered: Mapping[str, Any]
) -> dict[str, Any]:
    if not published:
        return {}
    version = published["version"]
    served = name if published.get("alias") != "challenger" else f"{name}-challenger"
    body = request.body(workspace.model(name, version))
    kept = workspace.card_request(name, version) if request.is_long(body) else None
    endpoints = registered.get("signatures", {})
    return {
        "served_as": served,
        "curl": request.curl(served, version, body, kept),
        "body": body,
        "kept": str(kept or ""),
        "endpoints": {key: {side: list(one[side]) for side in ("inputs", "outputs")} for key, one in endpoints.items()},
    }


def _environment(workspace: Workspace, events: Mapping[str, Any]) -> dict[str, Any]:
    event = events.get("environment")
    facts = atomic.read_json(workspace.inside(event["path"]), {}) if event else {}
    return {name: value for name, value in facts.items() if name != "packages"}
