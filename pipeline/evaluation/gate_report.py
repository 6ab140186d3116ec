"""The report of the gate as Markdown: the reasons of the verdict, in words and numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline.console import format_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_SLICES = 20
METHODS = """\
Intervals contain the true value in 95 of 100 cases: Wilson's for a share, Student's t for another mean, DeLong's for an
area under a ROC curve. A metric that is worse than the live model's by more than its tolerance is rejected if a
one-sided paired test on the same examples finds the difference significant. Rows in the order of time are correlated,
so the test compares means of neighbouring rows. The calibration error is the mean distance of confidence and accuracy
in 15 bins of equally many examples; on few examples it is above 0 by chance. Latency is the time of one row through
`serving_default` in the process that evaluated, on its machine."""


def render_markdown(evaluation: Mapping[str, Any]) -> str:
    """Renders the page of an evaluation as docs/journal.md describes it, without the parts that it lacks."""
    return "\n".join([*_verdict(evaluation), *_conditions(evaluation), *_numbers(evaluation)]) + "\n"


def _verdict(evaluation: Mapping[str, Any]) -> Iterator[str]:
    gate = evaluation["gate"]
    who = " ".join(filter(None, (evaluation.get("recipe"), f"({run})" if (run := evaluation.get("run_id")) else "")))
    yield f"# {'Blessed' if gate['blessed'] else 'Not blessed'}{': ' * bool(who)}{who}"
    yield ""
    reasons = [f"- {reason}" for reason in gate.get("reasons", [])]
    yield from reasons or ["All conditions are met."]


def _conditions(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yields the table of conditions, missed ones first."""
    entries = sorted(evaluation["gate"].get("conditions", []), key=lambda condition: condition["passed"])
    if not entries:
        return
    rows = [
        [
            "met" if entry["passed"] else "**missed**",
            " ".join(filter(None, (entry["name"], f"on {entry['where']}" if entry["where"] else ""))),
            entry["asked"],
            format_number(entry["reached"]),
            format_number(entry["margin"], "+"),
        ]
        for entry in entries
    ]
    yield from _section("Conditions", ("", "what", "required", "measured", "margin"), rows)
    tested = [entry["words"] for entry in entries if entry["kind"] == "no_worse"]
    yield from ["", *(f"- {words}" for words in tested)] if tested else []


def _numbers(evaluation: Mapping[str, Any]) -> Iterator[str]:
    yield from _metrics(evaluation)
    yield from _baselines(evaluation)
    yield from _slices(evaluation)
    yield from _cost(evaluation.get("cost") or {}, evaluation.get("calibration") or {})
    if evaluation.get("intervals"):
        yield from ["", "## How this was computed", "", METHODS]


def _metrics(evaluation: Mapping[str, Any]) -> Iterator[str]:
    baseline, intervals = evaluation.get("baseline") or {}, evaluation.get("intervals") or {}
    comparisons = evaluation.get("comparisons") or {}
    rows = [
        [
            name,
            format_number(value),
            _format_interval(intervals.get(name)),
            format_number(baseline.get(name)),
            *_test_cells(comparisons.get(name)),
        ]
        for name, value in evaluation["metrics"].items()
    ]
    columns = ("metric", "candidate", "95 %", "live model", "worse by", "95 %", "p")
    width = len(columns) if baseline else 3
    yield from _section("On the test split", columns[:width], [row[:width] for row in rows])


def _test_cells(comparison: Mapping[str, Any] | None) -> list[str]:
    if comparison is None:
        return ["-", "-", "-"]
    ends = [comparison["low"], comparison["high"]]
    return [format_number(comparison["worse"], "+"), _format_interval(ends), format_number(comparison["p"])]


def _baselines(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yields the table of the standard models on the same rows, next to the network."""
    baselines, metrics = evaluation.get("baselines") or {}, evaluation["metrics"]
    models = baselines.get("models") or []
    names = [name for name in metrics if any(name in model["metrics"] for model in models)]
    if names:
        entries = [("this network", metrics), *((model["name"], model["metrics"]) for model in models)]
        rows = [[who, *(format_number(values.get(name)) for name in names)] for who, values in entries]
        yield from _section("Baseline: standard models on the same rows", ("model", *names), rows)
        yield from ["", f"{baselines['words']}."]


def _slices(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yields the table of slices, sorted by their first metric."""
    slices = evaluation.get("slices") or []
    names = list(dict.fromkeys(name for part in slices for name in part["metrics"]))
    if not names:
        return
    sign = -1 if names[0] in evaluation.get("lower_is_better", []) else 1
    worst = sorted(slices, key=lambda part: _rank(part["metrics"].get(names[0]), sign))
    rows = [[part["slice"], f"{part.get('examples', '-')}", *_slice_cells(part, names)] for part in worst[:MAX_SLICES]]
    yield from _section("Slices, the worst first", ("slice", "examples", *names), rows)
    if len(worst) > MAX_SLICES:
        yield from ["", f"… and {len(worst) - MAX_SLICES} more."]
    least = evaluation["gate"].get("min_slice_examples", 0)
    if any(part.get("examples", least) < least for part in slices):
        yield from ["", f"Slices with fewer than {least} examples are not checked."]


def _rank(value: float | None, sign: int) -> float:
    """Returns a number that is lower for a worse metric, and the highest for one that is not defined."""
    return math.inf if value is None else sign * value


def _slice_cells(part: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    intervals = part.get("intervals") or {}
    cells = [(part["metrics"].get(name), intervals.get(name)) for name in names]
    return [
        format_number(value) + (f" ({_format_interval(interval)})" if interval else "") for value, interval in cells
    ]


def _cost(cost: Mapping[str, Any], calibration: Mapping[str, Any]) -> Iterator[str]:
    latency = cost.get("latency_ms") or {}
    facts = [
        ("calibration error", format_number(calibration.get("error")) if calibration else None),
        ("weights", f"{cost['weights']:,}" if cost.get("weights") else None),
        ("operations for one row", f"{cost['flops']:,}" if cost.get("flops") else None),
        ("SavedModel", f"{format_number(cost['size_mb'])} MB" if cost.get("size_mb") is not None else None),
        ("latency of one row, median", f"{format_number(latency['p50'])} ms" if latency else None),
        ("latency of one row, 95 of 100 within", f"{format_number(latency['p95'])} ms" if latency else None),
        ("served and in-memory answers differ by", format_number(cost.get("difference")) if cost else None),
    ]
    rows = [[name, value] for name, value in facts if value is not None]
    if rows:
        yield from _section("Calibration and cost", ("what", "value"), rows)


def _section(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from ["", f"## {title}", ""]
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    yield from (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)


def _format_interval(interval: Sequence[float] | None) -> str:
    return f"{format_number(interval[0])} to {format_number(interval[1])}" if interval else "-"
