"""An evaluation in MLflow: numbers, tables, pictures and the gate's verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline import atomic
from pipeline.tracking import table
from pipeline.tracking.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.tracking.scribe import Scribe


def record(scribe: Scribe, path: Path, seconds: float) -> None:
    """Writes an evaluation; what cannot be drawn does not keep the rest from being written."""
    result = atomic.read_json(path)
    client, run = scribe.destination.client, scribe.state.mlflow_run_id
    parts = Parts(scribe.destination)
    parts.do("metrics", lambda: scribe.metrics(numbers(result), seconds))
    parts.do("gate", lambda: _gate(scribe, result))
    parts.do("slices", lambda: _slices(scribe, result))
    parts.do("confusion matrix", lambda: _confusion(scribe, result))
    parts.do("samples", lambda: _samples(scribe, result))
    parts.do("evaluation", lambda: client.log_artifact(run, str(path), "evaluation"))
    parts.finish()


def numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """All numbers of an evaluation under the names they have in MLflow."""
    named = {f"test/{name}": value for name, value in result["metrics"].items()}
    named |= {f"baseline/{name}": value for name, value in (result.get("baseline") or {}).items()}
    for part in result.get("slices") or []:
        named |= {f"test/{name}/{part['slice']}": value for name, value in part["metrics"].items()}
    return {name: value for name, value in named.items() if value is not None}


def verdict(result: Mapping[str, Any]) -> str:
    """The gate's decision as a page."""
    gate, baseline = result["gate"], result.get("baseline") or {}
    lines = ["# Blessed" if gate["blessed"] else "# Not blessed", ""]
    lines += [f"- {reason}" for reason in gate.get("reasons", [])] or ["All conditions are met."]
    lines += ["", "| metric | candidate | live model |", "|---|---:|---:|"]
    for name, value in result["metrics"].items():
        live = f"{baseline[name]:.4f}" if baseline.get(name) is not None else "-"
        lines.append(f"| {name} | {value:.4f} | {live} |")
    return "\n".join(lines) + "\n"


def _gate(scribe: Scribe, result: Mapping[str, Any]) -> None:
    gate = result.get("gate")
    if gate is not None:
        scribe.tags(
            {
                "gate": "blessed" if gate["blessed"] else "not blessed",
                "gate.reasons": "; ".join(gate["reasons"]),
            }
        )
        scribe.destination.client.log_text(scribe.state.mlflow_run_id, verdict(result), "gate.md")


def _slices(scribe: Scribe, result: Mapping[str, Any]) -> None:
    slices = result.get("slices")
    if slices:
        names = sorted({name for part in slices for name in part["metrics"]})
        rows = [
            [part["slice"], part.get("examples"), *(part["metrics"].get(name) for name in names)] for part in slices
        ]
        columns = ["slice", "examples", *names]
        table.write(scribe.destination, scribe.state.mlflow_run_id, "slices.json", columns, rows)


def _confusion(scribe: Scribe, result: Mapping[str, Any]) -> None:
    if result.get("confusion"):
        from pipeline.tracking.pictures.confusion import confusion

        figure = confusion(result["confusion"], result.get("classes") or [])
        _draw(scribe, figure, "confusion_matrix")


def _samples(scribe: Scribe, result: Mapping[str, Any]) -> None:
    if result.get("samples"):
        from pipeline.tracking.pictures.samples import samples

        _draw(scribe, samples(result["samples"]), "samples")


def _draw(scribe: Scribe, figure: Any, name: str) -> None:
    scribe.destination.client.log_figure(scribe.state.mlflow_run_id, figure, f"pictures/{name}.png")
