"""The content of a card as plain values, from the run's record alone: facts, limits of use, an example request.

The request is the first row of the version's own warm-up requests, with the `curl` command that sends it.
"""

from __future__ import annotations

import base64
import json
import shlex
import time
from typing import TYPE_CHECKING, Any

from pipeline.runs import record
from pipeline.runs.provenance import Provenance
from pipeline.store import fileio, journal
from pipeline.store.recording import RecordingState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np

    from pipeline.recipes.catalog import RecipeSource
    from pipeline.runs.record import RunRecord
    from pipeline.store.layout import Workspace


DOCSTRING_FIELDS = ("Paper", "Data", "Task", "Command", "Reaches")  # of a docstring
FEW_EXAMPLES = 30  # examples below which a metric of a slice is not reliable
RARE_SHARE = 0.1  # of the most frequent class
URL = "http://127.0.0.1:8501"
MAX_INLINE = 2000  # characters of a body within the command


def collect_content(workspace: Workspace, source: RecipeSource, run_id: str) -> dict[str, Any]:
    """Returns the content of the card of a run; parts that the run did not reach are empty.

    Args:
        workspace: The workspace.
        source: The recipe.
        run_id: The run.
    """
    run = record.read_record(workspace, run_id)
    events = _last_events(workspace.run(run_id).journal)
    name, published = source.name, events.get("publish", {})
    purpose, fields = split_docstring(source.heading.docstring)
    return {
        "name": name,
        "version": published.get("version"),
        "alias": published.get("alias", ""),
        "run_id": run_id,
        "made": time.strftime("%Y-%m-%d", time.localtime(events["start"]["time"])) if events else "",
        "task": source.heading.task,
        "title": source.heading.title,
        "same_as": run.result.get("model_version"),
        "purpose": purpose,
        "said": {field: fields[field] for field in ("Paper", "Data") if field in fields},
        "data": _data_facts(run, events),
        "gate": run.evaluation.get("gate", {}),
        "metrics": metric_facts(run.evaluation),
        "baseline": (run.evaluation.get("baselines") or {}).get("words", ""),
        "slices": sort_slices(run.evaluation),
        "worst": worst_slice(run.evaluation),
        "cost": run.evaluation.get("cost") or {},
        "training": {"params": run.params, "epochs": run.epochs, "diagnosis": run.result.get("diagnosis", "")},
        "limits": find_limits(run),
        "lineage": _lineage_facts(workspace, run, published),
        "call": _call_facts(workspace, name, published, events.get("register", {})),
        "environment": _environment_facts(workspace, events),
    }


def split_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """Splits a recipe's docstring into its text without the title, and fields such as `Paper:`, of several lines.

    Returns:
        The text, and the fields by name.
    """
    words: list[str] = []
    fields: dict[str, str] = {}
    field = ""
    for line in docstring.splitlines()[1:]:
        name, colon, rest = line.partition(": ")
        field = name if colon and name in DOCSTRING_FIELDS else field if line.strip() else ""
        if not field:
            words.append(line)
        else:
            fields[field] = f"{fields[field]} {line.strip()}" if field in fields and name != field else rest
    return "\n".join(words).strip("\n"), fields


def _last_events(path: Path) -> dict[str, dict[str, Any]]:
    """Returns the last event of each kind; of `start` the first."""
    events = {event["event"]: event for event, _ in journal.iter_events(path)}
    first = next((event for event, _ in journal.iter_events(path)), None)
    return {**events, "start": first} if first else events


def metric_facts(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns name, value, interval, the champion's (the live model's) value and the direction of each metric."""
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


def sort_slices(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sorts the slices by the leading metric, the worst first, and then by fewer examples."""
    name, entries = leading_metric(evaluation), evaluation.get("slices") or []
    sign = -1 if name in evaluation.get("lower_is_better", []) else 1
    measured = [entry for entry in entries if entry["metrics"].get(name) is not None]
    return sorted(measured, key=lambda entry: (sign * entry["metrics"][name], entry.get("examples") or 0))


def worst_slice(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the slice in which the leading metric is worst, with the overall value; empty without slices."""
    entries, name = sort_slices(evaluation), leading_metric(evaluation)
    if not entries:
        return {}
    entry = entries[0]
    interval = (entry.get("intervals") or {}).get(name)
    values = {"value": entry["metrics"][name], "overall": evaluation["metrics"].get(name), "interval": interval}
    return {"slice": entry["slice"], "examples": entry.get("examples"), "metric": name, **values}


def leading_metric(evaluation: Mapping[str, Any]) -> str:
    """Returns the first metric with a condition in the gate, or else the first."""
    known = list(evaluation.get("metrics", {}))
    required = [
        condition["name"]
        for condition in evaluation.get("gate", {}).get("conditions", [])
        if condition["name"] in known
    ]
    return next(iter([*required, *known]), "")


def _data_facts(run: RunRecord, events: Mapping[str, Any]) -> dict[str, Any]:
    event = events.get("data", {})
    return {
        "digest": run.tags.get("data_digest") or event.get("digest", ""),
        "files": event.get("files", []),
        "rows": run.data.get("rows", {}),
        "classes": run.data.get("classes", {}),
        "bad": len(run.data.get("bad", [])),
    }


def _lineage_facts(workspace: Workspace, run: RunRecord, published: Mapping[str, Any]) -> dict[str, Any]:
    executions = Provenance(workspace).executions(run.run_id)
    steps = [
        {
            "step": execution.step,
            "execution": execution.id,
            "outputs": {name: a.id for name, a in execution.outputs.items()},
        }
        for execution in executions
    ]
    return {
        "data_digest": run.tags.get("data_digest", ""),
        "code_digest": run.tags.get("code_digest", ""),
        "model_digest": published.get("digest", ""),
        "mlflow_run_id": RecordingState.load(workspace.run(run.run_id)).mlflow_run_id,
        "parent": published.get("parent", ""),
        "steps": steps,
    }


def _call_facts(
    workspace: Workspace, name: str, published: Mapping[str, Any], registered: Mapping[str, Any]
) -> dict[str, Any]:
    if not published or published.get("alias") == "quick":  # no server offers a quick version
        return {}
    version = published["version"]
    served = name if published.get("alias") != "challenger" else f"{name}-challenger"
    body = request_body(workspace.model(name, version))
    body_file = workspace.card_request(name, version) if is_long(body) else None
    endpoints = registered.get("signatures", {})
    return {
        "served_as": served,
        "curl": curl_command(served, version, body, body_file),
        "body": body,
        "kept": str(body_file or ""),
        "endpoints": {
            key: {side: list(endpoint[side]) for side in ("inputs", "outputs")} for key, endpoint in endpoints.items()
        },
    }


def _environment_facts(workspace: Workspace, events: Mapping[str, Any]) -> dict[str, Any]:
    event = events.get("environment")
    facts = fileio.read_json(workspace.inside(event["path"]), {}) if event else {}
    return {name: value for name, value in facts.items() if name != "packages"}


def find_limits(run: RunRecord) -> list[str]:
    """Returns the limits of the model, one sentence each."""
    return [*_request_limits(run), *_data_limits(run), *_evaluation_limits(run)]


def _request_limits(run: RunRecord) -> Iterator[str]:
    if run.params.get("quick"):
        yield "Made by a --quick run, on a small sample and few epochs: to test the pipeline, not for use."


def _data_limits(run: RunRecord) -> Iterator[str]:
    classes, bad = run.data.get("classes", {}), run.data.get("bad", [])
    if classes:
        yield f"Knows {len(classes)} classes and predicts one of them for any input."
        most = max(classes.values())
        rare = [name for name, count in classes.items() if count < RARE_SHARE * most]
        if rare:
            yield f"Was trained on few of {', '.join(rare[:10])}: less than a tenth of the most frequent class."
    if bad:
        yield f"{len(bad)} rows could not be used and are not counted here."
    if run.data:
        yield "Was measured on data split from the same source; other cameras, years or people may give other numbers."


def _evaluation_limits(run: RunRecord) -> Iterator[str]:
    few = [
        entry["slice"] for entry in run.evaluation.get("slices") or [] if (entry.get("examples") or 0) < FEW_EXAMPLES
    ]
    if few:
        yield f"Slices of fewer than {FEW_EXAMPLES} test examples, with imprecise metrics: {', '.join(few[:12])}."
    if run.evaluation and not run.evaluation.get("slices"):
        yield "Was not evaluated by group: differences between groups are unknown."
    if "overfitting" in run.result.get("diagnosis", "").replace("no sign of under- or overfitting", ""):
        yield "Its training shows overfitting, see the curves."
    for condition in run.evaluation.get("gate", {}).get("conditions", []):
        if not condition["passed"]:
            yield f"Missed in the gate: {condition['words']}."


def request_body(model: Path) -> dict[str, Any]:
    """Returns a request in TensorFlow Serving's row format; empty if no recorded row can be written as JSON.

    Args:
        model: Folder of the SavedModel.
    """
    from serving.rest import openapi_examples

    inputs = openapi_examples.read_samples(model).get(("predict", "serving_default"), {})
    rows = max((len(values) for values in inputs.values()), default=0)
    usable = (row for row in range(rows) if all(_is_json(values[row]) for values in inputs.values()))
    row = next(usable, None)
    return (
        {} if row is None else {"instances": [{name: _to_json(name, values[row]) for name, values in inputs.items()}]}
    )


def is_long(request: Mapping[str, Any]) -> bool:
    """Returns whether a body is too long for a readable command."""
    return len(json.dumps(request)) > MAX_INLINE


def curl_command(name: str, version: int, request: Mapping[str, Any], path: Path | None) -> str:
    """Returns the `curl` command that sends a request to a server on this machine; without one, for the metadata.

    Args:
        name: Name of the served model.
        version: The version.
        request: The result of `request_body`.
        path: The file of a long body; None if the command contains it.
    """
    if not request:
        return f"curl -s {URL}/v1/models/{name}/versions/{version}/metadata"
    sent = f"@{path}" if path else json.dumps(request)
    return f"curl -s -d {shlex.quote(sent)} {URL}/v1/models/{name}/versions/{version}:predict"


def _is_json(value: Any) -> bool:
    import numpy as np

    numbers = np.asarray(value)
    return numbers.dtype.kind not in "fc" or bool(np.isfinite(numbers).all())


def _to_json(name: str, value: np.ndarray | bytes | str) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode(errors="replace")
    if isinstance(value, str):
        return value
    return [_to_json(name, item) for item in value] if value.dtype == object else value.tolist()
