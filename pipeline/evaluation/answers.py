"""Structured answers of test rows next to the true ones: drawn where they lie on a picture, else in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.features import drawing, image, targets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image

    from pipeline.formats.base import Dataset
    from pipeline.recipe import Recipe
    from serving.core.model import LoadedModel

COUNT = 12
MAX_TEXT = 300  # characters
MAX_ITEMS = 12  # of a list


def sample_answers(recipe: Recipe, model: LoadedModel, rows: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Returns the answers to some rows.

    Args:
        recipe: The recipe; empty if its data have no targets.
        model: The loaded SavedModel.
        rows: Raw inputs and targets of the test split by name, (rows, …) each.

    Returns:
        {"pictures": [[title, base64 PNG], …]} or {"texts": [[name, text], …]}: the input, the truth and the answer.
    """
    declared = model.signatures["serving_default"].inputs
    if not targets.target_kinds(recipe.data) or not declared.keys() <= rows.keys():
        return []
    total = len(next(iter(rows.values())))
    chosen = np.unique(np.linspace(0, total - 1, COUNT).astype(int))
    some = {name: values[chosen] for name, values in rows.items()}
    answer = model.predict("serving_default", {name: some[name] for name in declared})
    return [
        _show_row(recipe.data, *({name: values[row] for name, values in part.items()} for part in (some, answer)))
        for row in range(len(chosen))
    ]


def _show_row(data: Dataset, row: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    pictures = _show_pictures(data, row, answer)
    if pictures:
        return {"pictures": [[title, drawing.encode(picture)] for title, picture in pictures]}
    parts = {
        **{name: row[name] for name in data.inputs},
        **{f"true {name}": row[name] for name in targets.target_kinds(data)},
        **{f"answered {name}": value for name, value in answer.items()},
    }
    return {"texts": [[name, show_text(name, value)] for name, value in parts.items()]}


def _show_pictures(data: Dataset, row: Mapping[str, Any], answer: Mapping[str, Any]) -> list[tuple[str, Image.Image]]:
    """Returns the asked picture with the truth and with the answer; empty if the answer lies on no picture."""
    if "image_bytes" not in data.inputs:
        return []
    asked = image.open_upright(row["image_bytes"])
    if {"boxes", "classes"} <= row.keys() and {"boxes", "labels"} <= answer.keys():
        count, names = int(answer.get("count", len(answer["boxes"]))), getattr(data, "names", ())
        labels = [label.decode(errors="replace") for label in answer["labels"][:count]]
        drawn = drawing.draw_boxes(asked, answer["boxes"][:count], labels, answer["scores"][:count], names)
        return [("truth", drawing.draw_truth(row, names)), ("answer", drawn)]
    if "mask_bytes" in row and "mask_bytes" in answer:
        overlay = drawing.overlay_mask(asked, drawing.read_mask(answer["mask_bytes"]))
        return [("picture", asked), ("truth", drawing.draw_truth(row, getattr(data, "names", ()))), ("answer", overlay)]
    if "image_bytes" in answer:
        return [("asked", asked), ("answer", image.open_upright(answer["image_bytes"]))]
    return []


def show_text(name: str, value: Any) -> str:
    """Returns a value in words; of encoded binary its size, of a long list the first items."""
    if isinstance(value, bytes):
        text = f"{len(value):,} bytes" if name.endswith("_bytes") else value.decode(errors="replace")
    elif isinstance(value, np.ndarray) and value.ndim:
        more = f", … {len(value) - MAX_ITEMS} more" if len(value) > MAX_ITEMS else ""
        text = ", ".join(show_text(name, item) for item in value[:MAX_ITEMS]) + more
    else:
        number = np.asarray(value).item()
        text = f"{number:.4g}" if isinstance(number, float) else str(number)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
