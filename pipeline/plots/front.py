"""The Pareto front of a search: each pair of objectives against each other."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

OTHER_COLOUR, FRONT_COLOUR, PICKED_COLOUR, RECIPE_COLOUR = "#b5b5b5", "#1f77b4", "#d62728", "#333333"
PANEL = (4.2, 4.0)  # inches
COLUMNS = 2
MOST_NUMBERS = 25  # of a front with more points the numbers would cover each other
NUMBER_SIZE = (26, 13)  # pixels
LOG_RATIO = 30.0  # an axis whose values differ by more is logarithmic


def draw_front(facts: Mapping[str, Any]) -> Figure:
    """Draws all trials, those on the front with their numbers, the balanced one, the recipe itself and the picked one.

    Args:
        facts: The journal's event `front`: "objectives" [{"name", "direction", "axis"}], "trials" [{"number",
            "values"}], "front" [number], "balanced", "picked", "own" (has the recipe's own values).
    """
    pairs = list(itertools.combinations(facts["objectives"], 2))
    columns, rows = min(COLUMNS, len(pairs)), -(-len(pairs) // COLUMNS)
    width = 6.4 if len(pairs) == 1 else PANEL[0] * columns
    figure = Figure(figsize=(width, PANEL[1] * rows + 1.0), layout="constrained")
    for number, (upright, across) in enumerate(pairs, start=1):
        axes = figure.add_subplot(rows, columns, number)
        _draw_pair(axes, across, upright, facts)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    be = "is" if len(facts["front"]) == 1 else "are"
    figure.suptitle(f"{len(facts['front'])} of {len(facts['trials'])} trials {be} on the Pareto front")
    return figure


def _draw_pair(axes: Axes, across: Mapping[str, Any], upright: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    points = {
        trial["number"]: (trial["values"][across["name"]], trial["values"][upright["name"]])
        for trial in facts["trials"]
    }
    front = [points[number] for number in facts["front"]]
    others = [point for number, point in points.items() if number not in facts["front"]]
    if others:
        axes.scatter(*_split(others), s=22, color=OTHER_COLOUR, label="beaten by a trial on the front")
    if len(facts["objectives"]) == len((across, upright)):
        _draw_steps(axes, front, rises=across["direction"] == "min")
    axes.scatter(*_split(front), s=36, color=FRONT_COLOUR, label="on the front, with its number", zorder=3)
    _mark_points(axes, points, facts)
    _frame_axes(axes, across, upright, list(points.values()))
    if len(front) <= MOST_NUMBERS:
        _write_numbers(axes, [(number, points[number]) for number in facts["front"]])


def _draw_steps(axes: Axes, front: Sequence[tuple[float, float]], *, rises: bool) -> None:
    """Draws the border of what is reached: between two points nothing better than the worse one of each is known."""
    where: Literal["post", "pre"] = "post" if rises else "pre"
    axes.step(*_split(sorted(front)), where=where, color=FRONT_COLOUR, linewidth=1, alpha=0.6)


def _mark_points(axes: Axes, points: Mapping[int, tuple[float, float]], facts: Mapping[str, Any]) -> None:
    ring: dict[str, Any] = {"facecolors": "none", "linewidths": 1.4, "zorder": 4}
    if facts["own"] is not None:
        axes.scatter(
            *points[facts["own"]], s=110, marker="s", edgecolors=RECIPE_COLOUR, label="the recipe's own values", **ring
        )
    balanced = points[facts["balanced"]]
    axes.scatter(*balanced, s=150, marker="D", edgecolors=FRONT_COLOUR, label="balanced: nearest to all bests", **ring)
    if facts["picked"] is not None:
        picked = points[facts["picked"]]
        axes.scatter(*picked, s=170, marker="*", color=PICKED_COLOUR, label="picked", zorder=5)


def _frame_axes(
    axes: Axes, across: Mapping[str, Any], upright: Mapping[str, Any], points: Sequence[tuple[float, float]]
) -> None:
    axes.set_xlabel(across["axis"])
    axes.set_ylabel(upright["axis"])
    for side, axis, values in zip("xy", (axes.xaxis, axes.yaxis), zip(*points, strict=True), strict=True):
        if min(values) > 0 and max(values) > LOG_RATIO * min(values):
            axes.set(**{f"{side}scale": "log"})
        else:
            axis.set_major_locator(MaxNLocator(5))
    axes.margins(0.12)
    axes.grid(alpha=0.3)


def _write_numbers(axes: Axes, points: Sequence[tuple[int, tuple[float, float]]]) -> None:
    """Writes the numbers next to their points; those that would cover each other become one text."""
    groups: list[tuple[tuple[float, float], list[str]]] = []
    for number, point in points:
        for place, numbers in groups:
            across, upright = abs(axes.transData.transform(place) - axes.transData.transform(point))
            if across < NUMBER_SIZE[0] and upright < NUMBER_SIZE[1]:
                numbers.append(str(number))
                break
        else:
            groups.append((point, [str(number)]))
    for place, numbers in groups:
        axes.annotate(", ".join(numbers), place, (7, 6), textcoords="offset points", fontsize=9, color=FRONT_COLOUR)


def _split(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [across for across, _ in points], [upright for _, upright in points]
