"""The card as files: beside the run, and for a published version under `WORKSPACE/cards/NAME/VERSION`.

Learning curves as SVG within the card.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.reports import templating
from pipeline.reports.card_content import content
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.recipes.catalog import Source
    from pipeline.store.layout import Workspace


FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 330, 150
COLOURS = ("#4c78a8", "#f58518")  # training, validation


def write(workspace: Workspace, source: Source, run_id: str) -> Path:
    """Writes the card of what a run made, and returns its Markdown's path.

    A version's card does not lie in its SavedModel's folder, whose digest is what the version is known by.

    Args:
        workspace: The workspace.
        source: The recipe.
        run_id: The run.
    """
    found = content(workspace, source, run_id)
    both = [beside(workspace, run_id)]
    if found["version"] is not None:
        own = workspace.card(source.name, found["version"])
        both.append((own, own.with_suffix(".html")))
        if found["call"]["kept"]:
            _write(Path(found["call"]["kept"]), json.dumps(found["call"]["body"]))
    for places in both:
        for place, text in zip(places, rendered(found), strict=True):
            _write(place, text)
    return both[-1][0]


def beside(workspace: Workspace, run_id: str) -> tuple[Path, Path]:
    """Where the card lies beside a run: Markdown and HTML."""
    markdown = workspace.run(run_id).card
    return markdown, markdown.with_suffix(".html")


def rendered(found: dict[str, Any]) -> tuple[str, str]:
    """The card as Markdown and as HTML that asks nothing of the network."""
    facts = {**found, "curves": curves(found["training"]["epochs"])}
    filters = {"number": number, "interval": interval, "text": _text}
    markdown, html = (templating.rendered(FOLDER / f"card.{form}.jinja", facts, filters) for form in ("md", "html"))
    return markdown, html


def number(value: float | None) -> str:
    """Four digits behind the point, or as many as show something."""
    if value is None:
        return "-"
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.3g}"  # noqa: PLR2004


def interval(value: Any) -> str:
    """An interval as `0.981 to 0.997`; nothing where there is none."""
    low, high = value.values() if isinstance(value, dict) else (value or (None, None))[:2]
    return "" if low is None else f"{low:.3f} to {high:.3f}"


def _text(value: Any) -> str:
    """A value within a table of Markdown."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def _write(place: Path, text: str) -> None:
    with fileio.file(place) as beside:
        beside.write_text(text)


def curves(epochs: Sequence[Mapping[str, float]]) -> list[dict[str, str]]:
    """One drawing per metric: {"name", "svg", "last"}, the loss first, training and validation over each other."""
    names = {name.removeprefix("val_") for epoch in epochs for name in epoch} - {"learning_rate"}
    ordered = sorted(names, key=lambda name: (name != "loss", name))
    return [_curve(name, epochs) for name in ordered]


def _curve(name: str, epochs: Sequence[Mapping[str, float]]) -> dict[str, str]:
    both = [[epoch.get(key, math.nan) for epoch in epochs] for key in (name, f"val_{name}")]
    known = [value for values in both for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    lines = [_line(values, low, (high - low) or 1.0, colour) for values, colour in zip(both, COLOURS, strict=True)]
    words = f'<text x="0" y="11">{high:.4g}</text><text x="0" y="{HEIGHT}">{low:.4g}</text>'
    size = f'viewBox="0 0 {WIDTH} {HEIGHT + 6}" width="{WIDTH}" height="{HEIGHT + 6}"'
    label = f'role="img" aria-label="{name} over {len(epochs)} epochs"'
    last = " / ".join(f"{values[-1]:.4g}" for values in both if math.isfinite(values[-1]))
    return {"name": name, "svg": f"<svg {size} {label}>{''.join([*lines, words])}</svg>", "last": last}


def _line(values: Sequence[float], low: float, span: float, colour: str) -> str:
    step = (WIDTH - 60) / max(len(values) - 1, 1)
    points = [
        (55 + index * step, HEIGHT - 5 - (value - low) / span * (HEIGHT - 15))
        for index, value in enumerate(values)
        if math.isfinite(value)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>{dots}'
