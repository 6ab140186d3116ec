"""Draws explanations: heat maps and coloured curves as pictures, coloured words and bars in a terminal.

The two colours are distinguishable for people with red-green colour blindness: blue and vermilion. Source: M. Okabe,
K. Ito, Color universal design, 2008.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from rich.text import Text

from pipeline.console import format_number
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.console import Console


CURVE_AXES, IMAGE_AXES = 1, 3  # dimensions
FAINT_GREY = 0.35  # contrast of the image under a heat map
OUTLIERS = 99.5  # percentile from which on the colour is saturated
BAR_WIDTH = 30
LABEL_LENGTH = 40  # characters of a text above its words
FAINT_SHARE = 0.03  # of the largest: below it, words are not coloured
DARK_SHARE = 0.6  # of the largest: above it, letters are white
RAISES, LOWERS = "#0072b2", "#d55e00"
PREFIX = "attributions"
SIGNS = LinearSegmentedColormap.from_list("signs", [LOWERS, "white", RAISES])


def write_picture(row: ExplainedRow, path: Path) -> None:
    """Draws a row to a PNG file, written atomically."""
    with fileio.replace_file(path) as temporary:
        draw_picture(row).savefig(temporary, format="png", dpi=120)


def draw_picture(row: ExplainedRow) -> Figure:
    """Draws the input of the network, and to the right or below it the attributions."""
    figure = Figure(figsize=(8.5, 4.2 * len(row.parts)), layout="constrained")
    figure.suptitle(row.title)
    for part, place in zip(row.parts, figure.subfigures(len(row.parts), 1, squeeze=False)[:, 0], strict=True):
        if row.parts[part].ndim == CURVE_AXES:
            _draw_curve(place, row, part)
        else:
            _draw_heat_map(place, row, part)
    return figure


def _draw_heat_map(place: Any, row: ExplainedRow, part: str) -> None:
    seen, values = row.feature(part), row.parts[part]
    values = values.sum(axis=-1) if values.ndim == IMAGE_AXES else np.atleast_2d(values)
    left, right = place.subplots(1, 2)
    if seen is not None and seen.ndim > CURVE_AXES:
        left.imshow(_to_pixels(seen), cmap="gray", vmin=0, vmax=1)
        right.imshow(1 - FAINT_GREY * (1 - _to_grey(seen)), cmap="gray", vmin=0, vmax=1)
    scale = _symmetric_scale(values)
    strength = np.clip(np.abs(values) / scale.vmax, 0, 1) ** 0.7
    right.imshow(values, cmap=SIGNS, norm=scale, alpha=strength)
    place.colorbar(ScalarMappable(scale, SIGNS), ax=right, label="added to the score", shrink=0.85)
    left.set_title("what the network saw", fontsize=9)
    right.set_title("blue raises the score, orange lowers it", fontsize=9)
    for axes in (left, right):
        axes.set(xticks=[], yticks=[])


def _to_pixels(seen: np.ndarray) -> np.ndarray:
    """Returns an image (height, width) or (height, width, 3) scaled to [0, 1]."""
    low, high = seen.min(), seen.max()
    scaled = (seen - low) / max(high - low, np.finfo(np.float32).tiny)
    return scaled[..., 0] if scaled.ndim == IMAGE_AXES and scaled.shape[-1] != 3 else scaled  # noqa: PLR2004  (RGB)


def _to_grey(seen: np.ndarray) -> np.ndarray:
    pixels = _to_pixels(seen)
    return pixels.mean(axis=-1) if pixels.ndim == IMAGE_AXES else pixels


def _draw_curve(place: Any, row: ExplainedRow, part: str) -> None:
    seen, values = row.feature(part), row.parts[part]
    above, below = place.subplots(2, 1, sharex=True)
    _draw_line(place, above, values if seen is None else seen, values)
    steps = row.baseline + np.cumsum(values)
    below.plot(steps, color="#444444", linewidth=1)
    below.axhline(row.baseline, color="#999999", linewidth=0.8, linestyle="--")
    below.set(xlabel="step", ylabel="score up to here")


def _draw_line(place: Any, axes: Axes, seen: np.ndarray, values: np.ndarray) -> None:
    points = np.column_stack([np.arange(len(seen)), seen])
    pairs = np.stack([points[:-1], points[1:]], axis=1)
    axes.plot(seen, color="#dddddd", linewidth=3)
    lines = LineCollection(list(pairs), cmap=SIGNS, norm=_symmetric_scale(values), linewidths=1.5)
    lines.set_array(values[:-1])
    axes.add_collection(lines)
    axes.set_ylabel("what the network saw")
    place.colorbar(lines, ax=axes, label="added to the score")


def _symmetric_scale(values: np.ndarray) -> Normalize:
    largest = float(np.percentile(np.abs(values), OUTLIERS)) or float(np.abs(values).max()) or 1.0
    return Normalize(-largest, largest)


def print_row(console: Console, label: str, row: ExplainedRow) -> None:
    """Prints one explained row under the label of its input."""
    short = (
        f"{label[: LABEL_LENGTH - 1]}…" if row.words and len(label) > LABEL_LENGTH else label
    )  # a text is printed in full below
    console.print(Text(f"{short}  {row.title}"), soft_wrap=True)
    if row.words and console.is_terminal:
        console.print(colour_words(row))
        console.print(
            Text.assemble(
                ("  raises  ", f"on {mix_colours(0.8)}"), " the score, ", ("  lowers  ", f"on {mix_colours(-0.8)}")
            )
        )
    elif row.words:
        for word, value in row.pairs():
            console.print(Text(f"{format_number(value, sign='+')}  {word}"), soft_wrap=True)
    elif row.names:
        for line in column_bars(row):
            console.print(line, soft_wrap=True)


def colour_words(row: ExplainedRow) -> Text:
    """Returns the words of a text, with colours by attribution."""
    pairs = row.pairs()
    largest = max((abs(value) for _, value in pairs), default=0.0) or 1.0
    return Text(" ").join(Text(word, _word_style(value / largest)) for word, value in pairs)


def _word_style(share: float) -> str:
    if abs(share) < FAINT_SHARE:
        return ""
    return f"{'white' if abs(share) > DARK_SHARE else 'black'} on {mix_colours(share)}"


def column_bars(row: ExplainedRow) -> Iterator[Text]:
    """Yields one line per column, the largest attribution first."""
    pairs = sorted(row.pairs(), key=lambda pair: -abs(pair[1]))
    width = max((len(name) for name, _ in pairs), default=0)
    largest = max((abs(value) for _, value in pairs), default=0.0) or 1.0
    for name, value in pairs:
        bar = "█" * round(BAR_WIDTH * abs(value) / largest)
        yield Text.assemble(
            f"  {name:<{width}}  {format_number(value, sign='+')}  ", (bar, RAISES if value > 0 else LOWERS)
        )


def mix_colours(share: float) -> str:
    """Returns white for 0, blue for 1, vermilion for -1, as "#rrggbb"."""
    colour = RAISES if share > 0 else LOWERS
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * min(abs(share), 1.0)):02x}" for part in parts)


@dataclass(frozen=True)
class ExplainedRow:
    """One row of an explanation.

    Attributes:
        label: The class; empty where the model gives a number.
        score: Its probability, or the number.
        baseline: The score of a row of zeros.
        gap: The difference between `score - baseline` and the sum of the attributions.
        parts: Attributions by feature; the name is empty for a single feature.
        names: The words or columns of the attributions, if they have names.
        words: Whether the names are words, in the order of a text.
        features: The input of the network by name, if known.
    """

    label: str
    score: float
    baseline: float
    gap: float
    parts: Mapping[str, np.ndarray]
    names: tuple[str, ...]
    words: bool
    features: Mapping[str, np.ndarray]

    @property
    def title(self) -> str:
        """Label and scores in one line."""
        label = f"label {self.label}  " if self.label else ""
        missing = (
            f", {self.gap:+.2g} missing in the sum" if abs(self.gap) > 0.01 * abs(self.score - self.baseline) else ""
        )
        return f"{label}score {format_number(self.score)}, {format_number(self.baseline)} on zeros{missing}"

    def pairs(self) -> list[tuple[str, float]]:
        """Returns names with their attributions, in the order of the model, without empty names."""
        (values,) = self.parts.values()
        return [(name, float(value)) for name, value in zip(self.names, values, strict=True) if name]

    def feature(self, part: str) -> np.ndarray | None:
        """Returns the input of the network for these attributions; None if unknown."""
        alike = [value for value in self.features.values() if value.shape == self.parts[part].shape]
        return self.features.get(part, alike[0] if len(alike) == 1 else None)


def read_rows(answer: Mapping[str, np.ndarray], features: Mapping[str, np.ndarray]) -> list[ExplainedRow]:
    """Reads the rows of the outputs of `explain`.

    Args:
        answer: Arrays (batch, …) by output name.
        features: The outputs of `transform_features` for the same inputs, or empty.
    """
    return [_read_row(answer, features, row) for row in range(len(answer["score"]))]


def _read_row(answer: Mapping[str, np.ndarray], features: Mapping[str, np.ndarray], row: int) -> ExplainedRow:
    names = answer.get("tokens", answer.get("columns"))
    return ExplainedRow(
        label=_to_text(answer["label"][row]) if "label" in answer else "",
        score=float(answer["score"][row]),
        baseline=float(answer["baseline_score"][row]),
        gap=float(answer["completeness_gap"][row]),
        parts={key[len(PREFIX) + 1 :]: np.asarray(v[row]) for key, v in answer.items() if key.startswith(PREFIX)},
        names=() if names is None else tuple(map(_to_text, names[row])),
        words="tokens" in answer,
        features={name: np.asarray(value[row]) for name, value in features.items()},
    )


def _to_text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
