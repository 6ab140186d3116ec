"""Examples for the report of an evaluation: worst mistakes, reconstructions, predictions or generated images."""

from __future__ import annotations

import base64
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation.statistics import keep_digits
from pipeline.features.image import encode_picture, open_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.evaluation.predictions import Predictions
    from pipeline.formats.base import Dataset
    from pipeline.recipe import Recipe
    from serving.core.model import LoadedModel


WORST_COUNT = 16
MAX_CHARACTERS = 400  # characters of a text
MAX_POINTS = 100  # of a vector
THUMBNAIL_SIDE = 160  # pixels of the longer side of a stored picture
RECONSTRUCTION_COUNT = 8
IMAGE, VECTOR = "image_bytes", "reconstruction"
SAMPLE_COUNT = 40
MAX_SAMPLE_COUNT = 96  # one of each class, if there are more classes than samples
SCANNED_COUNT = 20_000


def worst_rows(predictions: Predictions, count: int = WORST_COUNT) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows with the largest error, the worst first, and their errors; without correct classes.

    Error: for classes one minus the probability of the true one, for numbers the absolute error, for a score the share
    of rows on its wrong side, and for a level its value, the lowest first.
    """
    wrong = _wrongness(predictions)
    rows = np.argsort(-wrong, kind="stable")
    rows = rows[np.isfinite(wrong[rows])]
    if predictions.truth.ndim > 1:
        rows = _without_overlap(rows, predictions.truth.shape[1], count)
    return rows[:count], wrong[rows[:count]]


def _without_overlap(rows: np.ndarray, steps: int, count: int) -> np.ndarray:
    """Returns the first windows that do not overlap, so that one bad day does not appear sixteen times."""
    chosen: list[int] = []
    for row in rows:
        if len(chosen) < count and all(abs(row - other) >= steps for other in chosen):
            chosen.append(int(row))
    return np.array(chosen, int)


def _wrongness(predictions: Predictions) -> np.ndarray:
    answers, truth = predictions.candidate.astype(np.float64), predictions.truth
    if predictions.kind == "classes":
        own = np.take_along_axis(answers, truth[:, None], axis=1)[:, 0]
        return np.where(answers.argmax(axis=1) == truth, -np.inf, 1 - own)
    if predictions.kind == "numbers":
        return np.abs(answers - truth).reshape(len(truth), -1).mean(axis=1)
    if predictions.kind == "score":
        # By ranks: scores have no common scale.
        ranks = np.argsort(np.argsort(answers)) / max(1, len(answers) - 1)
        return np.where(truth > 0, 1 - ranks, ranks)
    return -answers


def worst_examples(predictions: Predictions, recipe: Recipe, folder: Path) -> list[dict[str, Any]]:
    """Returns the worst mistakes, the worst first.

    Args:
        predictions: The predictions.
        recipe: The recipe, for the classes and inputs of its data.
        folder: TFRecords of the test split, in the order of the predictions.

    Returns:
        {"truth", "predicted", "probability" or "error", "inputs": {name: {"image"|"text"|"numbers": …}}}.
    """
    if not predictions.kind:
        return []
    rows, wrong = worst_rows(predictions)
    inputs = read_features(folder, rows.tolist(), list(recipe.data.inputs))
    answers = [
        _answer_to_dict(predictions, int(row), float(how), recipe.data.classes)
        for row, how in zip(rows, wrong, strict=True)
    ]
    return [{**answer, "inputs": display_inputs(inputs[int(row)])} for answer, row in zip(answers, rows, strict=True)]


def _answer_to_dict(predictions: Predictions, row: int, wrong: float, classes: Sequence[str]) -> dict[str, Any]:
    answer = predictions.candidate[row]
    if predictions.kind == "classes":
        place = int(answer.argmax())
        return {
            "truth": classes[predictions.truth[row]],
            "predicted": classes[place],
            "probability": float(answer[place]),
        }
    if predictions.kind == "level":
        return {"predicted": float(answer)}
    return {"truth": _round(predictions.truth[row]), "predicted": _round(answer), "error": wrong}


def _round(value: np.ndarray) -> Any:
    return keep_digits(value).tolist()


def read_features(folder: Path, rows: Sequence[int], names: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Reads raw features of some rows, by the row's number.

    Args:
        folder: TFRecords of one split.
        rows: Their numbers, from 0, in the order of the files.
        names: The features to read; a missing one is None.
    """
    from pipeline.evaluation.predictions import read_batches
    from pipeline.formats import tfrecord

    wanted, first, features = sorted(rows), 0, {}
    for part in read_batches(folder):
        for row in [row for row in wanted if first <= row < first + len(part)]:
            values = tfrecord.parse_features(part[row - first], names)
            features[row] = {name: values.get(name) for name in names}
        first += len(part)
        if not wanted or wanted[-1] < first:
            break
    return features


def display_inputs(inputs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Converts inputs for display; of several vectors only the first, since a picture has no room for more."""
    vectors = [name for name, value in inputs.items() if isinstance(value, list)]
    few = {name: f"{len(inputs[name])} numbers" for name in vectors[1:]}
    return {name: {"text": few[name]} if name in few else display_value(name, value) for name, value in inputs.items()}


def display_value(name: str, value: Any) -> dict[str, Any]:
    """Converts an input to {"image": base64 PNG}, {"text": words} or {"numbers": [...]}."""
    if isinstance(value, bytes):
        if name.endswith("image_bytes") and (small := _thumbnail(value)):
            return {"image": small}
        return {"text": f"{len(value):,} bytes" if name.endswith("_bytes") else _shorten(value)}
    if isinstance(value, list):
        step = -(-len(value) // MAX_POINTS)
        return {
            "numbers": [number if math.isfinite(number) else None for number in keep_digits(value[::step]).tolist()]
        }
    return {"text": "missing" if value is None else f"{value:g}" if isinstance(value, float) else str(value)}


def _shorten(value: bytes) -> str:
    text = value.decode(errors="replace")
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def _thumbnail(content: bytes) -> str:
    """Returns a small PNG in base64; empty if the bytes are no image."""
    from PIL import Image

    try:
        original = open_image(content)  # a data set of one's own may hold anything
        image = original.copy() if original.mode in ("L", "RGB") else original.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ""
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return base64.b64encode(encode_picture(image)).decode()


def sample_reconstructions(model: LoadedModel, folder: Path) -> list[dict[str, Any]]:
    """Returns pairs of the first test examples: {"image", "drawn"} as base64, or {"numbers", "drawn"}.

    Images come from a signature `reconstruct` from image_bytes to image_bytes, vectors from an output `reconstruction`
    of `serving_examples`, with the preprocessed feature of the same shape. Empty if the model has neither.

    Args:
        model: The loaded SavedModel.
        folder: TFRecords of the test split.
    """
    from pipeline.evaluation.predictions import read_batches

    draws = model.signatures.get("reconstruct")
    if draws and IMAGE in draws.inputs and IMAGE in draws.outputs:
        return _reconstruct_images(model, next(read_batches(folder, RECONSTRUCTION_COUNT)))
    if VECTOR in model.signatures["serving_examples"].outputs:
        return _reconstruct_vectors(model, next(read_batches(folder, RECONSTRUCTION_COUNT)))
    return []


def _reconstruct_images(model: LoadedModel, records: np.ndarray) -> list[dict[str, Any]]:
    from pipeline.formats import tfrecord

    images = [tfrecord.parse_features(record, [IMAGE])[IMAGE] for record in records]
    drawn = model.predict("reconstruct", {IMAGE: images})[IMAGE]
    return [
        {"image": _to_base64(image), "drawn": _to_base64(again)} for image, again in zip(images, drawn, strict=True)
    ]


def _to_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _reconstruct_vectors(model: LoadedModel, records: np.ndarray) -> list[dict[str, Any]]:
    from pipeline.formats import tfrecord

    inputs = model.signatures["transform_features"].inputs
    rows = [tfrecord.parse_features(record, list(inputs)) for record in records]
    if any(row.get(name) is None for row in rows for name in inputs):
        return []
    features = model.predict("transform_features", {name: [row[name] for row in rows] for name in inputs})
    drawn = model.predict("serving_examples", {"examples": records})[VECTOR]
    originals = _matching_feature(features, drawn)
    if originals is None:
        return []
    return [
        {"numbers": keep_digits(vector).tolist(), "drawn": keep_digits(again).tolist()}
        for vector, again in zip(originals.astype(float), drawn.astype(float), strict=True)
    ]


def _matching_feature(features: Mapping[str, np.ndarray], drawn: np.ndarray) -> np.ndarray | None:
    """Returns the reconstructed feature: the first with its shape, which must be rows of numbers."""
    if drawn.ndim != 2:  # noqa: PLR2004  (rows and numbers)
        return None
    return next((value for value in features.values() if value.shape == drawn.shape), None)


def sample_examples(model: LoadedModel, test: Path, data: Dataset) -> list[dict[str, Any]]:
    """Returns generated images of a generative model, else the first test images with the model's predictions.

    Empty if the model neither generates nor classifies images.

    Args:
        model: The loaded SavedModel.
        test: Folder of the test split's TFRecords.
        data: The data set's declaration.
    """
    if seed := _seed_input(model):
        return _draw_images(model, seed)
    return _classify_images(model, test, data) if data.classes and "image_bytes" in data.inputs else []


def _seed_input(model: LoadedModel) -> str:
    """Returns the input of a `serving_default` that generates an image from an integer; empty for another one."""
    declared = model.signatures["serving_default"]
    name, info = next(iter(declared.inputs.items()))
    draws = declared.outputs.keys() == {"image_bytes"} and len(declared.inputs) == 1
    return name if draws and info.dtype.name in {"int32", "int64"} and info.shape == (-1,) else ""


def _draw_images(model: LoadedModel, seed: str) -> list[dict[str, Any]]:
    answer = model.predict("serving_default", {seed: range(SAMPLE_COUNT)})
    return [{"image_bytes": base64.b64encode(image).decode()} for image in answer["image_bytes"]]


def _spread_records(test: Path, label: str) -> list[bytes]:
    """Returns records of the test split, of every class as equally many as there are, ordered by class."""
    import tensorflow as tf

    from pipeline.formats import tfrecord

    by_class: dict[Any, list[bytes]] = defaultdict(list)
    for record in tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(f"{test}/*"))).take(SCANNED_COUNT):
        content = record.numpy()
        group = by_class[tfrecord.parse_features(content, [label])[label]]
        if len(group) < SAMPLE_COUNT:
            group.append(content)
    count = min(MAX_SAMPLE_COUNT, max(SAMPLE_COUNT, len(by_class)))
    ranked = sorted((rank, name) for name, group in by_class.items() for rank in range(len(group)))[:count]
    return [by_class[name][rank] for name, rank in sorted((name, rank) for rank, name in ranked)]


def _classify_images(model: LoadedModel, test: Path, data: Dataset) -> list[dict[str, Any]]:
    import numpy as np
    import tensorflow as tf

    records = _spread_records(test, data.label)
    rows = [tf.train.Example.FromString(record).features.feature for record in records]
    answer = model.predict("serving_examples", {"examples": np.array(records, object)})
    if not {"label", "probabilities"} <= answer.keys():
        return []
    return [
        {
            "image_bytes": base64.b64encode(row["image_bytes"].bytes_list.value[0]).decode(),
            "label": row[data.label].bytes_list.value[0].decode(),
            "predicted": answer["label"][i].decode(),
            "probability": float(answer["probabilities"][i].max()),
        }
        for i, row in enumerate(rows)
    ]
