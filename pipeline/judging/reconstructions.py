"""Test examples beside what the model makes of them, for models that draw their input again."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from serving.model import LoadedModel

COUNT = 8
IMAGE, VECTOR = "image_bytes", "reconstruction"


def asked(model: LoadedModel, folder: Path) -> list[dict[str, Any]]:
    """Pairs of the first test examples: {"image", "drawn"} as base64, or {"numbers", "drawn"}; empty without any.

    Images come from a signature `reconstruct` from image_bytes to image_bytes, vectors from an output `reconstruction`
    of `serving_examples`, beside the preprocessed feature of its shape.

    Args:
        model: The loaded SavedModel.
        folder: TFRecords of the test split.
    """
    from pipeline.judging.predictions import batches

    draws = model.signatures.get("reconstruct")
    if draws and IMAGE in draws.inputs and IMAGE in draws.outputs:
        return _images(model, next(batches(folder, COUNT)))
    if VECTOR in model.signatures["serving_examples"].outputs:
        return _vectors(model, next(batches(folder, COUNT)))
    return []


def _images(model: LoadedModel, records: np.ndarray) -> list[dict[str, Any]]:
    from pipeline.datasets import tf_example

    images = [tf_example.features(record, [IMAGE])[IMAGE] for record in records]
    drawn = model.predict("reconstruct", {IMAGE: images})[IMAGE]
    return [{"image": _text(image), "drawn": _text(again)} for image, again in zip(images, drawn, strict=True)]


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _vectors(model: LoadedModel, records: np.ndarray) -> list[dict[str, Any]]:
    from pipeline.datasets import tf_example

    inputs = model.signatures["transform_features"].inputs
    rows = [tf_example.features(record, list(inputs)) for record in records]
    if any(row.get(name) is None for row in rows for name in inputs):
        return []
    features = model.predict("transform_features", {name: [row[name] for row in rows] for name in inputs})
    drawn = model.predict("serving_examples", {"examples": records})[VECTOR]
    shown = _alike(features, drawn)
    if shown is None:
        return []
    return [
        {"numbers": one.round(4).tolist(), "drawn": again.round(4).tolist()}
        for one, again in zip(shown.astype(float), drawn.astype(float), strict=True)
    ]


def _alike(features: Mapping[str, np.ndarray], drawn: np.ndarray) -> np.ndarray | None:
    """The feature that was drawn again: the first of its shape, which must be rows of numbers."""
    if drawn.ndim != 2:  # noqa: PLR2004  (rows and numbers)
        return None
    return next((value for value in features.values() if value.shape == drawn.shape), None)
