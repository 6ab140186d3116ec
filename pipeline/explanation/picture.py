"""Explanations as pictures: a heat map over an image, a coloured curve of a recording or a series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from pipeline import atomic
from pipeline.explanation.colours import LOWERS, RAISES

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from pipeline.explanation.explained import Explained

SIGNS = LinearSegmentedColormap.from_list("signs", [LOWERS, "white", RAISES])
CURVE, IMAGE = 1, 3  # dimensions
FAINT_GREY = 0.35  # how dark the image under a heat map gets
OUTLIERS = 99.5  # percentile that is drawn in the full colour


def write(row: Explained, path: Path) -> None:
    """Draws a row to a PNG, which appears as a whole."""
    with atomic.file(path) as beside:
        draw(row).savefig(beside, format="png", dpi=120)


def draw(row: Explained) -> Figure:
    """What the network saw, and beside or below it what of that counted."""
    figure = Figure(figsize=(8.5, 4.2 * len(row.parts)), layout="constrained")
    figure.suptitle(row.title)
    for part, place in zip(row.parts, figure.subfigures(len(row.parts), 1, squeeze=False)[:, 0], strict=True):
        if row.parts[part].ndim == CURVE:
            _curve(place, row, part)
        else:
            _heat_map(place, row, part)
    return figure


def _heat_map(place: Any, row: Explained, part: str) -> None:
    seen, found = row.feature(part), row.parts[part]
    found = found.sum(axis=-1) if found.ndim == IMAGE else np.atleast_2d(found)
    left, right = place.subplots(1, 2)
    if seen is not None and seen.ndim > CURVE:
        left.imshow(_pixels(seen), cmap="gray", vmin=0, vmax=1)
        right.imshow(1 - FAINT_GREY * (1 - _grey(seen)), cmap="gray", vmin=0, vmax=1)
    scale = _scale(found)
    strength = np.clip(np.abs(found) / scale.vmax, 0, 1) ** 0.7
    right.imshow(found, cmap=SIGNS, norm=scale, alpha=strength)
    place.colorbar(ScalarMappable(scale, SIGNS), ax=right, label="added to the score", shrink=0.85)
    left.set_title("what the network saw", fontsize=9)
    right.set_title("blue raises the score, orange lowers it", fontsize=9)
    for axes in (left, right):
        axes.set(xticks=[], yticks=[])


def _pixels(seen: np.ndarray) -> np.ndarray:
    """An image (height, width) or (height, width, 3) within 0 and 1, whatever its scale was."""
    low, high = seen.min(), seen.max()
    scaled = (seen - low) / max(high - low, np.finfo(np.float32).tiny)
    return scaled[..., 0] if scaled.ndim == IMAGE and scaled.shape[-1] != 3 else scaled  # noqa: PLR2004  (RGB)


def _grey(seen: np.ndarray) -> np.ndarray:
    pixels = _pixels(seen)
    return pixels.mean(axis=-1) if pixels.ndim == IMAGE else pixels


def _curve(place: Any, row: Explained, part: str) -> None:
    seen, found = row.feature(part), row.parts[part]
    above, below = place.subplots(2, 1, sharex=True)
    _coloured(place, above, found if seen is None else seen, found)
    steps = row.baseline + np.cumsum(found)
    below.plot(steps, color="#444444", linewidth=1)
    below.axhline(row.baseline, color="#999999", linewidth=0.8, linestyle="--")
    below.set(xlabel="step", ylabel="score up to here")


def _coloured(place: Any, axes: Axes, seen: np.ndarray, found: np.ndarray) -> None:
    points = np.column_stack([np.arange(len(seen)), seen])
    pairs = np.stack([points[:-1], points[1:]], axis=1)
    axes.plot(seen, color="#dddddd", linewidth=3)
    lines = LineCollection(list(pairs), cmap=SIGNS, norm=_scale(found), linewidths=1.5)
    lines.set_array(found[:-1])
    axes.add_collection(lines)
    axes.set_ylabel("what the network saw")
    place.colorbar(lines, ax=axes, label="added to the score")


def _scale(found: np.ndarray) -> Normalize:
    largest = float(np.percentile(np.abs(found), OUTLIERS)) or float(np.abs(found).max()) or 1.0
    return Normalize(-largest, largest)
