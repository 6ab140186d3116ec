"""Compares two runs: hyperparameters, data, learning curves, metrics and slices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline.console import align_columns, format_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.runs.record import RunRecord

BARS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 40
MAX_SLICES = 10
MAX_CHARACTERS = 40
DIGESTS = {"data_digest": "data", "code_digest": "code"}


def compare_runs(first: RunRecord, second: RunRecord) -> dict[str, Any]:
    """Compares two runs; returns common and different facts as JSON.

    Returns:
        `runs`: their ids; `metrics` {name: {a, b, difference}}; `slices` {slice: {metric: {a, b, difference}}}, those
        that differ most first; `params` {name: {a, b}}, only those that differ; `same` {data, code: bool}; `data`
        {what: {a, b, difference}}; `curves` {name: {a, b: [per epoch]}}; `seconds` {a, b, difference}.
    """
    both = (first, second)
    return {
        "runs": [record.run_id for record in both],
        "metrics": _pair_numbers(*(record.evaluation.get("metrics", {}) for record in both)),
        "slices": _pair_slices(*(_metrics_by_slice(record) for record in both)),
        "params": _find_differences(first.params, second.params),
        "same": {name: first.tags.get(key) == second.tags.get(key) for key, name in DIGESTS.items()},
        "data": _pair_numbers(*(_counts(record) for record in both)),
        "curves": _pair_curves(first.epochs, second.epochs),
        "seconds": _pair(first.result.get("seconds"), second.result.get("seconds")),
    }


def _pair(a: Any, b: Any) -> dict[str, Any]:
    both_known = a is not None and b is not None
    return {"a": a, "b": b, "difference": b - a if both_known else None}


def _pair_numbers(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: _pair(first.get(name), second.get(name)) for name in {**first, **second}}


def _metrics_by_slice(record: RunRecord) -> dict[str, Mapping[str, float]]:
    return {part["slice"]: part["metrics"] for part in record.evaluation.get("slices") or []}


def _pair_slices(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    pairs = {name: _pair_numbers(first.get(name, {}), second.get(name, {})) for name in {**first, **second}}
    return dict(sorted(pairs.items(), key=lambda item: -_largest(item[1].values())))


def _largest(pairs: Iterable[Mapping[str, Any]]) -> float:
    return max((abs(pair["difference"]) for pair in pairs if pair["difference"] is not None), default=0.0)


def _find_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    return {name: {"a": first.get(name), "b": second.get(name)} for name in names}


def _counts(record: RunRecord) -> dict[str, int]:
    report = record.data
    counts = {f"{split} rows": rows for split, rows in report.get("rows", {}).items()}
    counts |= {f"class {name}": rows for name, rows in (report.get("classes") or {}).items()}
    return counts | ({"bad": len(report["bad"])} if "bad" in report else {})


def _pair_curves(first: Sequence[Mapping[str, float]], second: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    names = dict.fromkeys(name for epochs in (first, second) for name in (epochs[0] if epochs else {}))
    return {name: {"a": [e.get(name) for e in first], "b": [e.get(name) for e in second]} for name in names}


def describe(comparison: Mapping[str, Any]) -> list[str]:
    """Renders the comparison as lines of text."""
    a, b = comparison["runs"]
    rows = [("", "A", "B", "B - A")]
    rows += [(name, *_pair_cells(pair)) for name, pair in comparison["metrics"].items()]
    rows.append(("seconds", *_pair_cells(comparison["seconds"])))
    lines = [f"A  {a}", f"B  {b}", "", *align_columns(rows)]
    lines += _section("Slices that differ most", _slice_rows(comparison["slices"]))
    params = [(name, _format_param(pair["a"]), _format_param(pair["b"])) for name, pair in comparison["params"].items()]
    lines += _section("Hyperparameters that differ", params)
    lines += _section(
        "Data", [(name, *_pair_cells(pair)) for name, pair in comparison["data"].items() if pair["difference"] != 0]
    )
    lines += _section("Learning", _curve_rows(comparison["curves"]))
    words = ", ".join(f"{'the same' if same else 'other'} {name}" for name, same in comparison["same"].items())
    return [*lines, "", f"They ran on {words}."]


def _pair_cells(pair: Mapping[str, Any]) -> tuple[str, str, str]:
    difference = pair["difference"]
    return (
        _format_number(pair["a"]),
        _format_number(pair["b"]),
        "-" if difference is None else f"{_format_number(difference, sign='+')}",
    )


def _format_number(value: Any, sign: str = "") -> str:
    if value is None or isinstance(value, float):
        return format_number(value, sign)
    return format(value, sign) if isinstance(value, int) else str(value)


def _format_param(value: Any) -> str:
    return "-" if value is None else str(value)[:MAX_CHARACTERS]


def _slice_rows(slices: Mapping[str, Any]) -> list[tuple[str, ...]]:
    differing = [(name, metrics) for name, metrics in slices.items() if _largest(metrics.values()) > 0]
    return [
        (name, metric, *_pair_cells(pair))
        for name, metrics in differing[:MAX_SLICES]
        for metric, pair in metrics.items()
        if (pair["a"], pair["b"]) != (None, None)  # such as the AUC of a slice of one class
    ]


def _curve_rows(curves: Mapping[str, Any]) -> list[tuple[str, ...]]:
    name = next((name for name in ("val_loss", "loss") if name in curves), "")
    if not name:
        return []
    values = [value for side in "ab" for value in curves[name][side] if value is not None]
    low, high = min(values), max(values)
    return [
        (side.upper(), name, sparkline(curves[name][side], low, high), f"{len(curves[name][side])} epochs")
        for side in "ab"
        if curves[name][side]
    ]


def sparkline(values: Sequence[float | None], low: float, high: float) -> str:
    """Draws a curve in one line of text, at most 40 characters wide."""
    step = max(1, math.ceil(len(values) / CURVE_WIDTH))
    span = (high - low) or 1.0
    shown = [value for value in values[::step] if value is not None]
    return "".join(BARS[min(len(BARS) - 1, int((value - low) / span * len(BARS)))] for value in shown)


def _section(title: str, rows: Sequence[tuple[str, ...]]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in align_columns(rows))] if rows else []
