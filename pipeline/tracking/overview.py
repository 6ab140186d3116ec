"""What a person sees first in MLflow: the description of a run, and the columns and charts of an experiment's runs.

The description begins with the verdict and the headline numbers, because MLflow shows only its first lines. The view is
stored as MLflow's own "shared view"; `keraspipe dashboard` opens it.

Source: `createExperimentPageUIState` and `useSharedExperimentViewState` in MLflow's `mlflow/server/js` name the fields.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pipeline.console import format_number
from pipeline.store import fileio, journal
from pipeline.tracking.child_runs import FRONT_PICTURE
from pipeline.tracking.evaluation import compare_models

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.store.layout import RunFolder

VIEW_KEY = "keraspipe"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
SECTION = "training-and-validation"
CURVES = "pictures/learning_curves.png"


def describe_run(folder: RunFolder, mlflow_run_id: str) -> str:
    """Returns the description of a run as Markdown, from what its journal says so far."""
    events = {event.kind: event.fields for event in journal.read_events(folder.journal)}
    evaluation = fileio.read_json(folder.evaluation) or {}
    return "\n\n".join(_paragraphs(events, evaluation, mlflow_run_id))


def _paragraphs(
    events: Mapping[str, Mapping[str, Any]], evaluation: Mapping[str, Any], mlflow_run_id: str
) -> Iterator[str]:
    words = [f"**{verdict(events, evaluation)}**" if "end" in events or evaluation else "", _title(events)]
    yield "<br>".join(filter(None, [" — ".join(filter(None, words)), *_headlines(evaluation)]))
    reasons = (evaluation.get("gate") or {}).get("reasons", [])
    if reasons:
        yield "\n".join(f"- {reason}" for reason in reasons)
    if "history" in events:
        yield f"![Training and validation by epoch]({_artifact_address(CURVES, mlflow_run_id)})"
    if "front" in events:
        yield from _describe_front(events["front"], mlflow_run_id)
    if events.get("history", {}).get("diagnosis"):
        yield f"Training: {events['history']['diagnosis']}"
    if evaluation.get("metrics"):
        columns, rows = compare_models(evaluation)
        yield markdown_table(columns, [[who, *map(format_number, values)] for who, *values in rows])


def _describe_front(front: Mapping[str, Any], mlflow_run_id: str) -> Iterator[str]:
    """Yields the Pareto front of a search: its picture, and its points as a table."""
    names = ", ".join(each["name"] for each in front["objectives"])
    picked = "" if front["picked"] is None else f", picked: trial {front['picked']}"
    points = f"{len(front['front'])} of {len(front['trials'])} trials"
    yield f"Pareto front of {names}: {points}; balanced: trial {front['balanced']}{picked}."
    yield f"![Pareto front]({_artifact_address(FRONT_PICTURE, mlflow_run_id)})"
    trials = {trial["number"]: trial for trial in front["trials"]}
    columns = [f"{each['name']} ({each['direction']})" for each in front["objectives"]]
    rows = [[_name_point(number, front), *_format_values(trials[number], front)] for number in front["front"]]
    yield markdown_table(["trial", *columns], rows)


def _format_values(trial: Mapping[str, Any], front: Mapping[str, Any]) -> Iterator[str]:
    for objective in front["objectives"]:
        value = trial["values"][objective["name"]]
        yield f"{value:,.0f}" if objective["is_count"] else format_number(value)


def _name_point(number: int, front: Mapping[str, Any]) -> str:
    marks = [mark for mark in ("balanced", "picked") if front[mark] == number]
    return " ".join([str(number), *marks])


def _artifact_address(path: str, mlflow_run_id: str) -> str:
    return f"get-artifact?{urlencode({'path': path, 'run_uuid': mlflow_run_id})}"


def _title(events: Mapping[str, Mapping[str, Any]]) -> str:
    return str(events.get("start", {}).get("description", ""))


def verdict(events: Mapping[str, Mapping[str, Any]], evaluation: Mapping[str, Any]) -> str:
    """Returns how a run ended in a few words: blessed with the version and its alias, not blessed, failed.

    Args:
        events: The last event of each kind in the run's journal.
        evaluation: The run's evaluation; empty without one.
    """
    end, published = events.get("end", {}), events.get("publish")
    if end.get("status") == "failed":
        return f"Failed: {str(end.get('message', '')).partition(chr(10))[0]}"
    if published:
        return f"Blessed: version {published['version']}, published as {published.get('alias', 'champion')}"
    blessed = (evaluation.get("gate") or {}).get("blessed")
    return {True: "Blessed", False: "Not blessed, not published", None: "Finished"}[blessed]


def _headlines(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line with the metrics, and one with how the network stands to the standard models."""
    numbers = [f"{name} **{format_number(value)}**" for name, value in (evaluation.get("metrics") or {}).items()]
    if numbers:
        yield f"On the test split: {', '.join(numbers)}"
    comparison = (evaluation.get("baselines") or {}).get("words")
    if comparison:
        yield f"Baseline: {comparison}"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table, the first column to the left, numbers to the right.

    MLflow leaves no space between columns, so the cells begin with one.
    """
    head, *body = [[*line[:1], *(f"&nbsp; {cell}" for cell in line[1:])] for line in (columns, *rows)]
    lines = [head, ["---", *("---:" for _ in columns[1:])], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def experiment_view(metrics: Iterable[str], headlines: Sequence[str]) -> str:
    """Returns the view of an experiment as JSON: verdict, alias and headline metric as columns; joint charts first.

    Args:
        metrics: Names of the metrics of a run in MLflow.
        headlines: The metrics of its evaluation, the most important first.
    """
    known = list(metrics)
    columns = [f"metrics.`{name}`" for name in (f"test/{headlines[0]}",) if name in known]
    curves = [name for name in known if f"val_{name}" in known]
    section = {"uuid": SECTION, "name": "Training and validation", "display": True, "isReordered": False}
    return json.dumps(
        {
            "selectedColumns": ["tags.`gate`", "tags.`alias`", *columns, "tags.`baseline`"],
            "compareRunCharts": [_chart(name) for name in sorted(curves, key=lambda name: name != "loss")],
            "compareRunSections": [{**section, "deleted": False, "isGenerated": False}],
            "isAccordionReordered": True,
        }
    )


def _chart(name: str) -> dict[str, Any]:
    """Returns the chart of a metric on the training and validation data by epoch."""
    axes = {"xAxisKey": "step", "xAxisScaleType": "linear", "scaleType": "linear", "lineSmoothness": 0}
    return {
        "type": "LINE",
        "uuid": f"{SECTION}-{name}",
        "displayName": f"{name}, training and validation",
        "metricKey": name,
        "selectedMetricKeys": [name, f"val_{name}"],
        "metricSectionId": SECTION,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
        "useGlobalLineChartConfig": False,
        "selectedXAxisMetricKey": "",
        "selectedYAxisMetricKey": "",
        **axes,
    }


def runs_page(uri: str, experiment_id: str, *, has_view: bool) -> str:
    """Returns the address of the page with an experiment's runs; MLflow would open on one for prompts and traces."""
    query = {"workflowType": "machine_learning"} | ({"viewStateShareKey": VIEW_KEY} if has_view else {})
    return f"{uri.rstrip('/')}/#/experiments/{experiment_id}/runs?{urlencode(query)}"


def run_page(uri: str, experiment_id: str, run_id: str) -> str:
    """Returns the address of a run's page."""
    return f"{uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"
