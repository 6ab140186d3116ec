"""Writes the card of a version as Markdown and HTML: with the run, and under `WORKSPACE/cards/NAME/VERSION`.

A card describes a model's purpose, metrics, limits and lineage, and shows how to send it a request.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.console import format_number
from pipeline.reports import templating
from pipeline.reports.card_content import collect_content
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.recipes.catalog import RecipeSource
    from pipeline.store.layout import Workspace


FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 330, 150
COLOURS = ("#4c78a8", "#f58518")  # training, validation


def write_card(workspace: Workspace, source: RecipeSource, run_id: str) -> Path:
    """Writes the card of a run's model, and returns the path of its Markdown.

    A version's card is not stored in its SavedModel's folder, whose digest identifies the version.

    Args:
        workspace: The workspace.
        source: The recipe.
        run_id: The run.
    """
    facts = collect_content(workspace, source, run_id)
    both = [card_paths(workspace, run_id)]
    if facts["version"] is not None:
        own = workspace.card(source.name, facts["version"])
        both.append((own, own.with_suffix(".html")))
        if facts["call"].get("kept"):
            _write_text(Path(facts["call"]["kept"]), json.dumps(facts["call"]["body"]))
    for places in both:
        for place, text in zip(places, render_card(facts), strict=True):
            _write_text(place, text)
    return both[-1][0]


def card_paths(workspace: Workspace, run_id: str) -> tuple[Path, Path]:
    """Returns the card's files in a run's folder: Markdown and HTML."""
    markdown = workspace.run(run_id).card
    return markdown, markdown.with_suffix(".html")


def render_card(content: dict[str, Any]) -> tuple[str, str]:
    """Renders the card as Markdown and as HTML without external resources."""
    facts = {**content, "curves": draw_curves(content["training"]["epochs"])}
    filters = {"number": format_number, "interval": format_interval, "text": _escape_cell}
    markdown, html = (
        templating.render_template(FOLDER / f"card.{form}.jinja", facts, filters) for form in ("md", "html")
    )
    return markdown, html


def format_interval(value: Any) -> str:
    """Formats an interval as `0.981 to 0.997`; empty without one."""
    low, high = value.values() if isinstance(value, dict) else (value or (None, None))[:2]
    return "" if low is None else f"{format_number(low)} to {format_number(high)}"


def _escape_cell(value: Any) -> str:
    """Escapes a value for a table in Markdown."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def _write_text(place: Path, text: str) -> None:
    with fileio.replace_file(place) as temporary:
        temporary.write_text(text)


def draw_curves(epochs: Sequence[Mapping[str, float]]) -> list[dict[str, str]]:
    """Draws training and validation curves of each metric, the loss first: {"name", "svg", "last"}."""
    names = {name.removeprefix("val_") for epoch in epochs for name in epoch} - {"learning_rate"}
    ordered = sorted(names, key=lambda name: (name != "loss", name))
    return [_draw_curve(name, epochs) for name in ordered]


def _draw_curve(name: str, epochs: Sequence[Mapping[str, float]]) -> dict[str, str]:
    both = [[epoch.get(key, math.nan) for epoch in epochs] for key in (name, f"val_{name}")]
    finite = [value for values in both for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    lines = [_draw_line(values, low, (high - low) or 1.0, colour) for values, colour in zip(both, COLOURS, strict=True)]
    words = f'<text x="0" y="11">{high:.4g}</text><text x="0" y="{HEIGHT}">{low:.4g}</text>'
    size = f'viewBox="0 0 {WIDTH} {HEIGHT + 6}" width="{WIDTH}" height="{HEIGHT + 6}"'
    label = f'role="img" aria-label="{name} over {len(epochs)} epochs"'
    last = " / ".join(f"{values[-1]:.4g}" for values in both if math.isfinite(values[-1]))
    return {"name": name, "svg": f"<svg {size} {label}>{''.join([*lines, words])}</svg>", "last": last}


def _draw_line(values: Sequence[float], low: float, span: float, colour: str) -> str:
    step = (WIDTH - 60) / max(len(values) - 1, 1)
    points = [
        (55 + index * step, HEIGHT - 5 - (value - low) / span * (HEIGHT - 15))
        for index, value in enumerate(values)
        if math.isfinite(value)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>{dots}'
