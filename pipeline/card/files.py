"""The card as files: beside the run, and for a published version under `WORKSPACE/cards/NAME/VERSION`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import atomic, template
from pipeline.card import drawing
from pipeline.card.content import content

if TYPE_CHECKING:
    from pipeline.catalogue import Source
    from pipeline.workspace import Workspace

FOLDER = Path(__file__).parent


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
    facts = {**found, "curves": drawing.curves(found["training"]["epochs"])}
    filters = {"number": number, "interval": interval, "text": _text}
    markdown, html = (template.rendered(FOLDER / f"card.{form}.jinja", facts, filters) for form in ("md", "html"))
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
    with atomic.file(place) as beside:
        beside.write_text(text)
