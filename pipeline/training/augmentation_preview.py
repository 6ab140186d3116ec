"""A picture of the augmentation: images of every class, each as it is in the file and as training sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.store import fileio
from pipeline.training.files import AUGMENTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from pipeline.training.input_pipeline import Rows

MIN_ROWS, MAX_ROWS = 8, 24  # one of each class, and more of them if there are few
SCANNED_ROWS = 2000  # of the training split, which a folder of classes fills class by class
DRAWS = 7  # augmented images of each row
SIDE = 96  # smallest side of one image in the grid, in pixels
GAP = 4
TITLE_HEIGHT, NAME_WIDTH = 28, 130  # pixels above the columns, and before the rows
NAME_CHARACTERS = 17


def write_preview(
    folder: Path,
    rows: Rows,
    target: Callable[..., Any],
    augment: Callable[..., Any] | None,
    name: str,
    classes: Sequence[str] = (),
) -> None:
    """Writes the grid: one row per example, first the original, then augmented. Writes nothing if it is no image.

    Args:
        folder: Folder of the picture.
        rows: The training split.
        target: (features, label) -> (features, target of the loss).
        augment: (features, target) -> the same, changed at random; None if a recipe augments nothing.
        name: The augmented feature; empty for the first image.
        classes: Names of the classes, which the labels number; empty without classes.
    """
    specs = rows.dataset.element_spec[0]
    name = name or find_image(specs)
    if augment is None or name not in specs or not _is_image(specs[name].shape):
        return
    import tensorflow as tf

    labels = [label.numpy() for _, label in rows.dataset.take(SCANNED_ROWS)] if classes else []
    chosen = choose_rows([int(label) for label in labels if label.ndim == 0], min(rows.count, MIN_ROWS))
    wanted = tf.constant(chosen, tf.int64)
    dataset = rows.dataset.enumerate().filter(lambda index, _: tf.reduce_any(index == wanted)).map(lambda _, row: row)
    batch = next(iter(dataset.take(len(chosen)).batch(len(chosen)).map(target)))
    draws = [batch[0][name].numpy(), *(augment(*batch)[0][name].numpy() for _ in range(DRAWS))]
    numbers = [int(labels[index]) for index in chosen] if labels and labels[0].ndim == 0 else []
    order = sorted(range(len(numbers)), key=numbers.__getitem__) or list(range(len(chosen)))
    with fileio.replace_file(folder / AUGMENTATION) as temporary:
        sheet = draw_grid([draw[order] for draw in draws], [classes[numbers[row]] for row in order if numbers])
        sheet.save(temporary, "png")


def choose_rows(labels: Sequence[int], count: int) -> list[int]:
    """Returns the numbers of `count` rows, or as many as there are classes up to 24: each class in turn, ascending.

    Args:
        labels: Class of each row; empty without classes.
        count: Rows to choose.
    """
    if not labels:
        return list(range(count))
    order: dict[int, int] = {}  # how many of its class came before a row
    rank = []
    for label in labels:
        order[label] = order.get(label, -1) + 1
        rank.append(order[label])
    wanted = min(MAX_ROWS, max(count, len(order)))
    return sorted(sorted(range(len(labels)), key=lambda row: (rank[row], row))[:wanted])


def find_image(specs: Mapping[str, Any]) -> str:
    """Returns the first feature that is an image, by the specification of each; empty if none is."""
    return next((name for name, spec in specs.items() if _is_image(spec.shape)), "")


def _is_image(shape: Sequence[int]) -> bool:
    return len(shape) == 3 and shape[2] in {1, 3}  # noqa: PLR2004  (height, width, channels)


def draw_grid(draws: Sequence[np.ndarray], names: Sequence[str]) -> Any:
    """Returns the picture of the draws, each (rows, height, width, channels), side by side; high values are light.

    Args:
        draws: The original images, then augmented ones.
        names: The class of each row; empty without classes.
    """
    import numpy as np
    from PIL import Image

    low, high = draws[0].min(), draws[0].max()
    stack = (np.stack(draws, axis=1) - low) / max(high - low, 1e-6)  # (rows, draws, height, width, channels)
    pixels = (np.clip(stack, 0, 1) * 255).astype(np.uint8)
    scale = max(1, SIDE // pixels.shape[2])
    pixels = pixels.repeat(scale, axis=2).repeat(scale, axis=3)
    framed = np.pad(pixels, ((0, 0), (0, 0), (GAP, 0), (GAP, 0), (0, 0)), constant_values=255)
    rows, columns, height, width, channels = framed.shape
    grid = framed.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)
    left = NAME_WIDTH if names else 0
    sheet = Image.new("RGB", (left + columns * width, TITLE_HEIGHT + rows * height), "white")
    sheet.paste(Image.fromarray(grid[..., 0] if channels == 1 else grid), (left, TITLE_HEIGHT))
    _write_titles(sheet, (left, width, height), names)
    return sheet


def _write_titles(sheet: Any, sizes: tuple[int, int, int], names: Sequence[str]) -> None:
    """Writes the titles of the columns and the class of each row; `sizes`: left margin, width and height of a cell."""
    from PIL import ImageDraw

    left, width, height = sizes
    draw, font = ImageDraw.Draw(sheet), load_font()
    draw.text((left + width / 2, TITLE_HEIGHT / 2), "original", "black", font, "mm")
    draw.text((left + width + GAP, TITLE_HEIGHT / 2), f"{DRAWS} augmented draws of it", "black", font, "lm")
    for row, name in enumerate(names):
        short = name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…"
        draw.text((GAP, TITLE_HEIGHT + (row + 0.5) * height), short, "black", font, "lm")


def load_font() -> Any:
    """Returns the font of titles in pictures, which Matplotlib brings."""
    import matplotlib as mpl
    from PIL import ImageFont

    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), 13)
