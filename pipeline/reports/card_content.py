"""What a card says, as plain values, taken from the run's record alone.

Where a model must not be trusted, as its run's record shows it.

A request that the version answers: the first row of its own warm-up requests, and the `curl` that sends it.
"""

from __future__ import annotations

import base64
import json
import shlex
import time
from typing import TYPE_CHECKING, Any

from pipeline.runs import record
from pipeline.runs.lineage import Provenance
from pipeline.store import fileio, journal
from pipeline.store.recording import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np

    from pipeline.recipes.catalog import Source
    from pipeline.runs.record import Account
    from pipeline.store.layout import Workspace


FIELDS = ("Paper", "Data", "Task", "Command", "Reaches")  # of a docstring
FEW = 30  # examples, under which one metric of a slice says little
RARE = 0.1  # of the most frequent class
URL = "http://127.0.0.1:8501"
SHORT = 2000  # characters of a body that stands in the command itself


def content(workspace: Workspace, source: Source, run_id: str) -> dict[str, Any]:
    """The card of what a run made; what the run did not come to is empty.

    Args:
        workspace: The workspace.
        source: The recipe.
        run_id: The run.
    """
    told = record.read(workspace, run_id)
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
        "limits": limits(told),
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
    body = card_body(workspace.model(name, version))
    kept = workspace.card_request(name, version) if is_long(body) else None
    endpoints = registered.get("signatures", {})
    return {
        "served_as": served,
        "curl": curl(served, version, body, kept),
        "body": body,
        "kept": str(kept or ""),
        "endpoints": {key: {side: list(one[side]) for side in ("inputs", "outputs")} for key, one in endpoints.items()},
    }


def _environment(workspace: Workspace, events: Mapping[str, Any]) -> dict[str, Any]:
    event = events.get("environment")
    facts = fileio.read_json(workspace.inside(event["path"]), {}) if event else {}
    return {name: value for name, value in facts.items() if name != "packages"}


def limits(told: Account) -> list[str]:
    """One sentence each."""
    return [*_asked(told), *_data_limits(told), *_evaluation(told)]


def _asked(told: Account) -> Iterator[str]:
    if told.params.get("quick"):
        yield "Made by a --quick run, on a small sample and few epochs: to try the road, not to be used."


def _data_limits(told: Account) -> Iterator[str]:
    classes, bad = told.data.get("classes", {}), told.data.get("bad", [])
    if classes:
        yield f"Knows {len(classes)} classes and answers with one of them whatever it is shown."
        most = max(classes.values())
        rare = [name for name, count in classes.items() if count < RARE * most]
        if rare:
            yield f"Has seen few examples of {', '.join(rare[:10])}: less than a tenth of the most frequent class."
    if bad:
        yield f"{len(bad)} rows could not be used and are in no number here."
    if told.data:
        yield "Was measured on data split from the same source; other cameras, years or people may give other numbers."


def _evaluation(told: Account) -> Iterator[str]:
    few = [one["slice"] for one in told.evaluation.get("slices") or [] if (one.get("examples") or 0) < FEW]
    if few:
        yield f"Slices of fewer than {FEW} test examples, whose numbers are rough: {', '.join(few[:12])}."
    if told.evaluation and not told.evaluation.get("slices"):
        yield "Was not measured per group: nothing is known of how evenly it serves them."
    if "overfitting" in told.result.get("diagnosis", "").replace("no sign of under- or overfitting", ""):
        yield "Its training shows overfitting, see the curves."
    for condition in told.evaluation.get("gate", {}).get("conditions", []):
        if not condition["passed"]:
            yield f"Missed in the gate: {condition['words']}."


def card_body(model: Path) -> dict[str, Any]:
    """The request in TensorFlow Serving's row format; empty where no recorded row can be written as JSON.

    Args:
        model: Folder of the SavedModel.
    """
    from serving.rest import openapi_examples

    inputs = openapi_examples.read_samples(model).get(("predict", "serving_default"), {})
    rows = max((len(values) for values in inputs.values()), default=0)
    usable = (row for row in range(rows) if all(_is_json(values[row]) for values in inputs.values()))
    row = next(usable, None)
    return {} if row is None else {"instances": [{name: _json(name, values[row]) for name, values in inputs.items()}]}


def is_long(request: Mapping[str, Any]) -> bool:
    """Whether a body is too long to stand in a command that people read."""
    return len(json.dumps(request)) > SHORT


def curl(name: str, version: int, request: Mapping[str, Any], path: Path | None) -> str:
    """The command that asks a server on this machine; without a request, what the model takes.

    Args:
        name: Under which the model is served.
        version: The version.
        request: What `body` gave.
        path: The file that a long body is read from; None where it stands in the command.
    """
    if not request:
        return f"curl -s {URL}/v1/models/{name}/versions/{version}/metadata"
    sent = f"@{path}" if path else json.dumps(request)
    return f"curl -s -d {shlex.quote(sent)} {URL}/v1/models/{name}/versions/{version}:predict"


def _is_json(value: Any) -> bool:
    import numpy as np

    numbers = np.asarray(value)
    return numbers.dtype.kind not in "fc" or bool(np.isfinite(numbers).all())


def _json(name: str, value: np.ndarray | bytes | str) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode(errors="replace")
    if isinstance(value, str):
        return value
    return [_json(name, one) for one in value] if value.dtype == object else value.tolist()
