"""An evaluation in MLflow: metrics, tables, pictures and the result of the gate.

The gate is the set of checks that decide whether a model may go live; a model that passed them is blessed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.evaluation import gate_report
from pipeline.store import fileio
from pipeline.tracking import client
from pipeline.tracking.client import ErrorCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure
    from PIL.Image import Image

    from pipeline.tracking.client import TrackingStore

GATE_PAGE = "gate.md"  # among the run's artifacts in MLflow
# Each picture and the part of an evaluation that it is drawn from.
PICTURES = {
    "samples": "samples",
    "reconstructions": "reconstructions",
    "roc": "curves",
    "precision_recall": "curves",
    "calibration": "calibration",
    "residuals": "residuals",
    "forecast": "forecast",
    "mistakes": "mistakes",
}


def record(destination: TrackingStore, run_id: str, path: Path, seconds: float) -> None:
    """Writes an evaluation; a picture that cannot be drawn does not stop the rest."""
    result = fileio.read_json(path)
    client = destination.client
    collector = ErrorCollector(destination)
    collector.attempt("metrics", lambda: destination.log_metrics(run_id, flatten_metrics(result), seconds))
    collector.attempt("gate", lambda: _record_gate(destination, run_id, result))
    collector.attempt("cost", lambda: _record_cost(destination, run_id, result.get("cost") or {}))
    collector.attempt("models", lambda: _record_models(destination, run_id, result))
    collector.attempt("slices", lambda: _record_slices(destination, run_id, result))
    collector.attempt("confusion matrix", lambda: _record_confusion(destination, run_id, result))
    for name in PICTURES:
        collector.attempt(name, partial(_record_picture, destination, run_id, result, name))
    collector.attempt("answers", lambda: _record_answers(destination, run_id, result.get("answers") or []))
    collector.attempt("evaluation", lambda: client.log_artifact(run_id, str(path), "evaluation"))
    collector.finish()


def flatten_metrics(result: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics of an evaluation by their names in MLflow.

    They are few, because MLflow draws a chart of a single bar for each: other models, slices and costs are tables.
    """
    return {f"test/{name}": value for name, value in result["metrics"].items() if value is not None}


def compare_models(result: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Returns columns and rows of the table that has the network, the standard models and the champion of that time."""
    metrics = result.get("metrics") or {}
    models = [("this network", metrics)]
    models += [(model["name"], model["metrics"]) for model in (result.get("baselines") or {}).get("models", [])]
    models += [("the champion before", result["baseline"])] if result.get("baseline") else []
    return ["on the test split", *metrics], [[who, *(values.get(name) for name in metrics)] for who, values in models]


def _flatten_cost(cost: Mapping[str, Any]) -> dict[str, float | None]:
    """Returns the cost of a model as numbers by name."""
    flat = {name: value for name, value in cost.items() if name != "latency_ms"}
    latency = cost.get("latency_ms") or {}
    return flat | {f"latency_ms_{name}": latency[name] for name in ("p50", "p95", "p99") if name in latency}


def _record_gate(destination: TrackingStore, run_id: str, result: Mapping[str, Any]) -> None:
    gate = result.get("gate")
    if gate is not None:
        destination.set_tags(
            run_id,
            {
                "gate": "blessed" if gate["blessed"] else "not blessed",
                "gate.reasons": "; ".join(gate["reasons"]),
            },
        )
        destination.client.log_text(run_id, gate_report.render_markdown(result), GATE_PAGE)


def _record_cost(destination: TrackingStore, run_id: str, cost: Mapping[str, Any]) -> None:
    rows = [[name, value] for name, value in _flatten_cost(cost).items() if value is not None]
    if rows:
        client.write_table(destination, run_id, "cost.json", ["cost", "value"], rows)


def _record_models(destination: TrackingStore, run_id: str, result: Mapping[str, Any]) -> None:
    """Writes the table of all models, and what the standard models say of the network as a tag."""
    columns, rows = compare_models(result)
    client.write_table(destination, run_id, "models.json", columns, rows)
    words = (result.get("baselines") or {}).get("words")
    if words:
        destination.set_tags(run_id, {"baseline": words})


def _record_slices(destination: TrackingStore, run_id: str, result: Mapping[str, Any]) -> None:
    slices = result.get("slices")
    if slices:
        names = sorted({name for part in slices for name in part["metrics"]})
        rows = [
            [part["slice"], part.get("examples"), *(cell for name in names for cell in _slice_cells(part, name))]
            for part in slices
        ]
        columns = ["slice", "examples", *(column for name in names for column in (name, f"{name} 95 %"))]
        client.write_table(destination, run_id, "slices.json", columns, rows)


def _slice_cells(part: Mapping[str, Any], name: str) -> list[Any]:
    """Returns a slice's metric and its interval."""
    interval = (part.get("intervals") or {}).get(name)
    return [part["metrics"].get(name), f"{interval[0]:.4g} to {interval[1]:.4g}" if interval else None]


def _record_confusion(destination: TrackingStore, run_id: str, result: Mapping[str, Any]) -> None:
    if result.get("confusion"):
        from pipeline.plots.errors import confusion

        figure = confusion(result["confusion"], result.get("classes") or [])
        _log_picture(destination, run_id, figure, "confusion_matrix")


def _record_picture(destination: TrackingStore, run_id: str, result: Mapping[str, Any], name: str) -> None:
    """Draws a picture, if the evaluation has the data for it."""
    part = result.get(PICTURES[name])
    if part:
        _log_picture(destination, run_id, plot_functions()[name](part), name)


def _record_answers(destination: TrackingStore, run_id: str, rows: list[dict[str, Any]]) -> None:
    """Writes structured answers: a picture of those that are drawn, a table of those in words."""
    from pipeline.plots import answers

    if any(row.get("pictures") for row in rows):
        _log_picture(destination, run_id, answers.answers(rows), "answers")
    texts = [dict(row["texts"]) for row in rows if row.get("texts")]
    if texts:
        client.write_table(destination, run_id, "answers.json", list(texts[0]), [list(row.values()) for row in texts])


def plot_functions() -> dict[str, Callable[[Any], Figure | Image]]:
    """Returns the function that draws each picture, by name."""
    from pipeline.plots import curves, errors, examples

    return {
        "samples": examples.samples,
        "reconstructions": examples.reconstructions,
        "roc": curves.roc,
        "precision_recall": curves.precision_recall,
        "calibration": curves.calibration,
        "residuals": errors.residuals,
        "forecast": examples.forecast,
        "mistakes": errors.mistakes,
    }


def _log_picture(destination: TrackingStore, run_id: str, picture: Figure | Image, name: str) -> None:
    client, path = destination.client, f"pictures/{name}.png"
    if hasattr(picture, "savefig"):
        client.log_figure(run_id, picture, path)
    else:
        client.log_image(run_id, picture, path)
