"""An evaluation in MLflow: numbers, tables, pictures and the gate's verdict."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.evaluation import gate_report
from pipeline.store import fileio
from pipeline.tracking import client
from pipeline.tracking.client import Parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure
    from PIL.Image import Image

    from pipeline.tracking.client import Destination

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


def record(destination: Destination, run_id: str, path: Path, seconds: float) -> None:
    """Writes an evaluation; what cannot be drawn does not keep the rest from being written."""
    result = fileio.read_json(path)
    client = destination.client
    parts = Parts(destination)
    parts.do("metrics", lambda: destination.log_metrics(run_id, numbers(result), seconds))
    parts.do("gate", lambda: _gate(destination, run_id, result))
    parts.do("slices", lambda: _slices(destination, run_id, result))
    parts.do("confusion matrix", lambda: _confusion(destination, run_id, result))
    for name in PICTURES:
        parts.do(name, partial(_picture, destination, run_id, result, name))
    parts.do("evaluation", lambda: client.log_artifact(run_id, str(path), "evaluation"))
    parts.finish()


def numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """All numbers of an evaluation under the names they have in MLflow."""
    named = {f"test/{name}": value for name, value in result["metrics"].items()}
    named |= {f"baseline/{name}": value for name, value in (result.get("baseline") or {}).items()}
    named |= {f"cost/{name}": value for name, value in _cost(result.get("cost") or {}).items()}
    if result.get("calibration"):
        named["test/calibration_error"] = result["calibration"]["error"]
    for part in result.get("slices") or []:
        named |= {f"test/{name}/{part['slice']}": value for name, value in part["metrics"].items()}
    return {name: value for name, value in named.items() if value is not None}


def _cost(cost: Mapping[str, Any]) -> dict[str, float | None]:
    """What a model costs, each number under one name."""
    flat = {name: value for name, value in cost.items() if name != "latency_ms"}
    latency = cost.get("latency_ms") or {}
    return flat | {f"latency_ms_{name}": latency[name] for name in ("p50", "p95", "p99") if name in latency}


def _gate(destination: Destination, run_id: str, result: Mapping[str, Any]) -> None:
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


def _slices(destination: Destination, run_id: str, result: Mapping[str, Any]) -> None:
    slices = result.get("slices")
    if slices:
        names = sorted({name for part in slices for name in part["metrics"]})
        rows = [
            [part["slice"], part.get("examples"), *(cell for name in names for cell in _cells(part, name))]
            for part in slices
        ]
        columns = ["slice", "examples", *(column for name in names for column in (name, f"{name} 95 %"))]
        client.write(destination, run_id, "slices.json", columns, rows)


def _cells(part: Mapping[str, Any], name: str) -> list[Any]:
    """A slice's metric and its interval."""
    interval = (part.get("intervals") or {}).get(name)
    return [part["metrics"].get(name), f"{interval[0]:.4g} to {interval[1]:.4g}" if interval else None]


def _confusion(destination: Destination, run_id: str, result: Mapping[str, Any]) -> None:
    if result.get("confusion"):
        from pipeline.plots.errors import confusion

        figure = confusion(result["confusion"], result.get("classes") or [])
        _keep(destination, run_id, figure, "confusion_matrix")


def _picture(destination: Destination, run_id: str, result: Mapping[str, Any], name: str) -> None:
    """Draws a picture, if the evaluation has what it is drawn from."""
    part = result.get(PICTURES[name])
    if part:
        _keep(destination, run_id, plot_functions()[name](part), name)


def plot_functions() -> dict[str, Callable[[Any], Figure | Image]]:
    """Who draws each of the pictures."""
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


def _keep(destination: Destination, run_id: str, drawn: Figure | Image, name: str) -> None:
    client, path = destination.client, f"pictures/{name}.png"
    if hasattr(drawn, "savefig"):
        client.log_figure(run_id, drawn, path)
    else:
        client.log_image(run_id, drawn, path)
