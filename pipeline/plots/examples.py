"""Test examples with what the model made of them: predictions on images, reconstructions, and forecasts.

Pillow puts images on one sheet: a Matplotlib figure with forty pairs of axes takes ten times as long.
"""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes


SAMPLE_COLUMNS = 8
MAX_SAMPLES = 48
CELL_WIDTH, CELL_HEIGHT, CAPTION_HEIGHT = (
    160,
    165,
    52,
)  # pixels: of a cell, its height without words, and what words add to it
IMAGE_SIDE = 145  # of an image
TITLE_HEIGHT = 40  # above all cells
MIN_SHEET_WIDTH = 450  # takes the title
LINE_CHARACTERS, NAME_CHARACTERS = 20, 13  # characters that fit above a cell
RIGHT_COLOUR, WRONG_COLOUR = "#1b7837", "#b2182b"
FONT_FILE = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
RECONSTRUCTION_COLUMNS = 4
ORIGINAL_COLOUR, RECONSTRUCTION_COLOUR = "#999999", "#d95f02"
PAST_COLOUR, TRUTH_COLOUR, FORECAST_COLOUR, LIVE_COLOUR = "#777777", "#1f77b4", "#d95f02", "#7570b3"


def samples(examples: Sequence[Mapping[str, Any]]) -> Image.Image:
    """A grid of images, each with truth, prediction and probability; errors stand out by colour and word.

    Images without a label were drawn by the model, and stand alone.
    """
    shown = list(examples)[:MAX_SAMPLES]
    has_labels = any("label" in example for example in shown)
    columns, height = max(1, min(SAMPLE_COLUMNS, len(shown))), CELL_HEIGHT + CAPTION_HEIGHT * has_labels
    size = max(CELL_WIDTH * columns, MIN_SHEET_WIDTH), TITLE_HEIGHT + height * max(1, math.ceil(len(shown) / columns))
    sheet = Image.new("RGB", size, "white")
    title = _sheet_title(shown) if has_labels else f"{len(shown)} images that the model drew"
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT_FILE, 12)
    draw.text((size[0] / 2, TITLE_HEIGHT / 2), title, "black", ImageFont.truetype(FONT_FILE, 17), "mm")
    for index, example in enumerate(shown):
        middle = (
            CELL_WIDTH * (index % columns) + CELL_WIDTH // 2,
            TITLE_HEIGHT + height * (index // columns + 1) - CELL_HEIGHT // 2,
        )
        _paste_image(sheet, _decode_sample(example["image_bytes"]), middle)
        if has_labels:
            _draw_verdict(draw, example, middle, font)
    return sheet


def _sheet_title(examples: Sequence[Mapping[str, Any]]) -> str:
    wrong = sum(not _is_right(example) for example in examples)
    return f"Sample predictions: {wrong} of {len(examples)} wrong"


def _is_right(example: Mapping[str, Any]) -> bool:
    return str(example["label"]) == str(example["predicted"])


def _decode_sample(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")


def _paste_image(sheet: Image.Image, image: Image.Image, middle: tuple[int, int]) -> None:
    """Puts an image around a point, as large as its cell lets it be."""
    scale = IMAGE_SIDE / max(image.size)
    wide, high = (max(1, round(length * scale)) for length in image.size)
    corner = middle[0] - wide // 2, middle[1] - high // 2
    sheet.paste(image.resize((wide, high), Image.Resampling.NEAREST), corner)


def _draw_verdict(
    draw: ImageDraw.ImageDraw, example: Mapping[str, Any], middle: tuple[int, int], font: ImageFont.FreeTypeFont
) -> None:
    """Words above an image and a frame around it."""
    (x, y), right, half = middle, _is_right(example), IMAGE_SIDE // 2 + 1
    colour = RIGHT_COLOUR if right else WRONG_COLOUR
    draw.multiline_text((x, y - half - 4), caption(example), colour, font, "md", align="center")
    draw.rectangle((x - half, y - half, x + half, y + half), outline=colour, width=1 if right else 4)


def caption(example: Mapping[str, Any]) -> str:
    """What stands above an image, a line each."""
    lines = [] if _is_right(example) else ["WRONG"]
    prediction = _short_name(example["predicted"])
    if example.get("probability") is not None:
        prediction += f" ({example['probability']:.0%})"
    # A long name needs the room of the word, which the line below makes dispensable.
    lines.append(prediction if len(prediction) > LINE_CHARACTERS - len("predicted ") else f"predicted {prediction}")
    lines.append(f"truth {_short_name(example['label'])}")
    return "\n".join(lines)


def _short_name(name: object) -> str:
    text = str(name)
    return text if len(text) <= NAME_CHARACTERS else text[: NAME_CHARACTERS - 1] + "…"


def reconstructions(pairs: Sequence[Mapping[str, Any]]) -> Figure:
    """Images in two rows, vectors as two curves each.

    Args:
        pairs: {"image", "drawn"} as base64, or {"numbers", "drawn"} as lists.
    """
    return _draw_images(pairs) if "image" in pairs[0] else _draw_vectors(pairs)


def _draw_images(pairs: Sequence[Mapping[str, Any]]) -> Figure:
    figure = Figure(figsize=(1.4 * len(pairs) + 0.8, 3.4), layout="constrained")
    axes = np.atleast_2d(figure.subplots(2, len(pairs), squeeze=False))
    for column, pair in enumerate(pairs):
        for row, key in enumerate(("image", "drawn")):
            axes[row, column].set(xticks=[], yticks=[])
            axes[row, column].imshow(
                _decode_reconstruction(pair[key]), cmap="gray", vmin=0, vmax=255, interpolation="nearest"
            )
    axes[0, 0].set_ylabel("test example")
    axes[1, 0].set_ylabel("reconstruction")
    figure.suptitle("Reconstructions")
    return figure


def _decode_reconstruction(encoded: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    return np.asarray(image if image.mode == "L" else image.convert("RGB"))


def _draw_vectors(pairs: Sequence[Mapping[str, Any]]) -> Figure:
    rows = -(-len(pairs) // RECONSTRUCTION_COLUMNS)
    figure = Figure(figsize=(3.6 * min(RECONSTRUCTION_COLUMNS, len(pairs)), 2.3 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, min(RECONSTRUCTION_COLUMNS, len(pairs)), squeeze=False)
    for axes, pair in zip(grid.flat, pairs, strict=False):
        axes.plot(pair["numbers"], color=ORIGINAL_COLOUR, linewidth=2, label="test example, preprocessed")
        axes.plot(pair["drawn"], color=RECONSTRUCTION_COLOUR, linewidth=1, label="reconstruction")
        error = float(np.mean(np.square(np.subtract(pair["numbers"], pair["drawn"]))))
        axes.set_title(f"mean square error {error:.3g}", fontsize=9)
        axes.grid(alpha=0.3)
    grid[0, 0].legend(fontsize=7)
    figure.suptitle("Reconstructions")
    return figure


def forecast(result: Mapping[str, Any]) -> Figure:
    """One wide panel for the error, four for windows.

    Args:
        result: {"error": [by step], "live_error": [by step] or None, "windows": [{"error", "quantile", "truth",
            "predicted", "past"?}]}.
    """
    rows = 1 + -(-len(result["windows"]) // 2)
    figure = Figure(figsize=(12.0, 3.2 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 2)
    _draw_errors(figure.add_subplot(grid[0, :]), result)
    for index, window in enumerate(result["windows"]):
        _draw_window(figure.add_subplot(grid[1 + index // 2, index % 2]), window)
    figure.suptitle("Forecasts of the test split")
    return figure


def _draw_errors(axes: Axes, result: Mapping[str, Any]) -> None:
    steps = range(1, len(result["error"]) + 1)
    axes.plot(steps, result["error"], "o-", markersize=3, color=FORECAST_COLOUR, label="candidate")
    if result.get("live_error"):
        axes.plot(steps, result["live_error"], "o-", markersize=3, color=LIVE_COLOUR, label="live model")
    axes.set(xlabel="steps ahead", ylabel="mean absolute error", title="Error by steps ahead")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


def _draw_window(axes: Axes, window: Mapping[str, Any]) -> None:
    past = [float("nan") if value is None else value for value in window.get("past", [])]
    axes.plot(range(1 - len(past), 1), past, color=PAST_COLOUR, linewidth=1.2, label="past")
    steps = range(1, len(window["truth"]) + 1)
    axes.plot(steps, window["truth"], color=TRUTH_COLOUR, linewidth=1.6, label="truth")
    axes.plot(steps, window["predicted"], color=FORECAST_COLOUR, linewidth=1.6, label="forecast")
    axes.axvline(0.5, color=PAST_COLOUR, linestyle=":", linewidth=1)
    rank = "the worst" if window["quantile"] >= 1 else f"better than {1 - window['quantile']:.0%} of the windows"
    axes.set_title(f"error {window['error']:.4g}: {rank}", fontsize=10)
    axes.set_xlabel("steps ahead")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper left")
