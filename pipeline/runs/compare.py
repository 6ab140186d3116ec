"""Two runs side by side: what was asked, what it was learned from, how it went, and what came out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline.console import aligned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.runs.record import Account

BARS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 40
SHOWN_SLICES = 10
SHOWN_CHARACTERS = 40
LARGE = 100  # from here one decimal is enough
DIGESTS = {"data_digest": "data", "code_digest": "code"}


def compare(first: Account, second: Account) -> dict[str, Any]:
    """All that two runs have in common and all that differs, as JSON.

    Returns:
        `runs`: their ids; `metrics` {name: {a, b, difference}}; `slices` {slice: {metric: {a, b, difference}}}, those
        that differ most first; `params` {name: {a, b}}, only those that differ; `same` {data, code: bool}; `data`
        {what: {a, b, difference}}; `curves` {name: {a, b: [per epoch]}}; `seconds` {a, b, difference}.
    """
    both = (first, second)
    return {
        "runs": [account.run_id for account in both],
        "metrics": _numbers(*(account.evaluation.get("metrics", {}) for account in both)),
        "slices": _slices(*(_by_slice(account) for account in both)),
        "params": _changed(first.params, second.params),
        "same": {name: first.tags.get(key) == second.tags.get(key) for key, name in DIGESTS.items()},
        "data": _numbers(*(_counts(account) for account in both)),
        "curves": _curves(first.epochs, second.epochs),
        "seconds": _pair(first.result.get("seconds"), second.result.get("seconds")),
    }


def _pair(a: Any, b: Any) -> dict[str, Any]:
    there = a is not None and b is not None
    return {"a": a, "b": b, "difference": b - a if there else None}


def _numbers(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: _pair(first.get(name), second.get(name)) for name in {**first, **second}}


def _by_slice(account: Account) -> dict[str, Mapping[str, float]]:
    return {part["slice"]: part["metrics"] for part in account.evaluation.get("slices") or []}


def _slices(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = {name: _numbers(first.get(name, {}), second.get(name, {})) for name in {**first, **second}}
    return dict(sorted(found.items(), key=lambda item: -_largest(item[1].values())))


def _largest(pairs: Iterable[Mapping[str, Any]]) -> float:
    return max((abs(pair["difference"]) for pair in pairs if pair["difference"] is not None), default=0.0)


def _changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    return {name: {"a": first.get(name), "b": second.get(name)} for name in names}


def _counts(account: Account) -> dict[str, int]:
    report = account.data
    counts = {f"{split} rows": rows for split, rows in report.get("rows", {}).items()}
    counts |= {f"class {name}": rows for name, rows in (report.get("classes") or {}).items()}
    return counts | ({"bad": len(report["bad"])} if "bad" in report else {})


def _curves(first: Sequence[Mapping[str, float]], second: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    names = dict.fromkeys(name for epochs in (first, second) for name in (epochs[0] if epochs else {}))
    return {name: {"a": [e.get(name) for e in first], "b": [e.get(name) for e in second]} for name in names}


def text(found: Mapping[str, Any]) -> list[str]:
    """What a person reads."""
    a, b = found["runs"]
    rows = [("", "A", "B", "B - A")]
    rows += [(name, *_cells(pair)) for name, pair in found["metrics"].items()]
    rows.append(("seconds", *_cells(found["seconds"])))
    lines = [f"A  {a}", f"B  {b}", "", *aligned(rows)]
    lines += _section("Slices that differ most", _slice_rows(found["slices"]))
    asked = [(name, _asked(pair["a"]), _asked(pair["b"])) for name, pair in found["params"].items()]
    lines += _section("Hyperparameters that differ", asked)
    lines += _section(
        "Data", [(name, *_cells(pair)) for name, pair in found["data"].items() if pair["difference"] != 0]
    )
    lines += _section("Learning", _curve_rows(found["curves"]))
    words = ", ".join(f"{'the same' if same else 'other'} {name}" for name, same in found["same"].items())
    return [*lines, "", f"They ran on {words}."]


def _cells(pair: Mapping[str, Any]) -> tuple[str, str, str]:
    difference = pair["difference"]
    return _short(pair["a"]), _short(pair["b"]), "-" if difference is None else f"{_short(difference, sign='+')}"


def _short(value: Any, sign: str = "") -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return format(value, f"{sign}.4f" if abs(value) < LARGE else f"{sign}.1f")
    return format(value, sign) if isinstance(value, int) else str(value)


def _asked(value: Any) -> str:
    return "-" if value is None else str(value)[:SHOWN_CHARACTERS]


def _slice_rows(slices: Mapping[str, Any]) -> list[tuple[str, ...]]:
    shown = [(name, metrics) for name, metrics in slices.items() if _largest(metrics.values()) > 0]
    return [(name, metric, *_cells(pair)) for name, metrics in shown[:SHOWN_SLICES] for metric, pair in metrics.items()]


def _curve_rows(curves: Mapping[str, Any]) -> list[tuple[str, ...]]:
    name = next((name for name in ("val_loss", "loss") if name in curves), "")
    if not name:
        return []
    values = [value for side in "ab" for value in curves[name][side] if value is not None]
    low, high = min(values), max(values)
    return [
        (side.upper(), name, bars(curves[name][side], low, high), f"{len(curves[name][side])} epochs")
        for side in "ab"
        if curves[name][side]
    ]


def bars(values: Sequence[float | None], low: float, high: float) -> str:
    """A curve in one line of text, at most 40 characters wide."""
    step = max(1, math.ceil(len(values) / CURVE_WIDTH))
    span = (high - low) or 1.0
    shown = [value for value in values[::step] if value is not None]
    return "".join(BARS[min(len(BARS) - 1, int((value - low) / span * len(BARS)))] for value in shown)


def _section(title: str, rows: Sequence[tuple[str, ...]]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in aligned(rows))] if rows else []
