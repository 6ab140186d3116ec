"""The predictions of the candidate and of the champion (the live model) for every row of the test split."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.export.parts import answer_in_parts
from pipeline.features import targets
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.recipe import Recipe
    from serving.core.model import LoadedModel
    from serving.core.signature import Signature

PREDICTIONS_FILE = "predictions.npz"
BATCH_ROWS = 256  # rows per request
BATCH_FILES = 32  # of pictures and recordings: a network keeps some hundred numbers for each pixel
FLOAT_TYPES = ("float", "double", "half")  # as TensorFlow names them
INT_TYPES = ("int32", "int64")  # of an output that a recipe names
SLICE_PREFIX = "slice "


@dataclass(frozen=True)
class BatchedModel:
    """A served model that answers a whole split in parts: all that a recipe's `score` may ask.

    Attributes:
        model: The loaded version.
    """

    model: LoadedModel

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What can be asked."""
        return self.model.signatures

    def predict(self, signature_name: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Returns the answer of a signature, see `LoadedModel.predict`."""
        return answer_in_parts(partial(self.model.predict, signature_name), inputs, batch_rows(inputs))


@dataclass(frozen=True)
class Predictions:
    """The predictions in the order of the data, with the truth.

    Attributes:
        kind: "classes": probabilities (rows, classes) and the class's number (rows,). "numbers": numbers (rows,) or
            (rows, steps), both. "score": a score (rows,) that should be higher if the truth is 1 than if it is 0.
            "level": a number (rows,) without a truth. Empty if nothing can be compared row by row.
        truth: See `kind`.
        candidate: See `kind`.
        live: The champion's predictions; None without one, or if they are of another kind.
        slices: The value of each sliced feature in each row, as text, (rows,).
    """

    kind: str
    truth: np.ndarray
    candidate: np.ndarray
    live: np.ndarray | None = None
    slices: Mapping[str, np.ndarray] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Writes an npz without pickle."""
        arrays = {"kind": np.array(self.kind), "truth": self.truth, "candidate": self.candidate}
        arrays |= {} if self.live is None else {"live": self.live}
        arrays |= {SLICE_PREFIX + name: values for name, values in self.slices.items()}
        with fileio.replace_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]  # NumPy's stub takes every name for an option


def load_predictions(path: Path) -> Predictions:
    """Reads predictions that `save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        slices = {
            name.removeprefix(SLICE_PREFIX): arrays[name] for name in arrays.files if name.startswith(SLICE_PREFIX)
        }
        live = arrays["live"] if "live" in arrays.files else None
        return Predictions(str(arrays["kind"]), arrays["truth"], arrays["candidate"], live, slices)


def collect_predictions(recipe: Recipe, folder: Path, candidate: LoadedModel, live: LoadedModel | None) -> Predictions:
    """Predicts all rows of a folder of TFRecords with both models, in batches; only predictions stay in memory."""
    output = find_output(recipe, candidate)
    classes = list(recipe.data.classes)
    features = list(dict.fromkeys([*recipe.gate.slices, *([recipe.data.label] if classes else [])]))
    if not output:
        return Predictions("", np.zeros(0), np.zeros(0))
    same_output = live is not None and output in live.signatures["serving_examples"].outputs
    parts: list[tuple[Any, ...]] = []
    for records in read_batches(folder, batch_rows(recipe.data.inputs)):
        values = _read_values(records, [recipe.data.label, *features])
        answers = [_predict_batch(model, records, output) for model in (candidate, live if same_output else None)]
        parts.append((values, *answers))
    return _join_parts(recipe, parts, features)


def find_output(recipe: Recipe, model: LoadedModel) -> str:
    """Returns the output to evaluate: `predicted`, or the model's only number; empty if there is none."""
    outputs = model.signatures["serving_examples"].outputs
    name = recipe.predicted or ("probabilities" if recipe.data.classes else "value")
    numbers = [
        key
        for key, info in outputs.items()
        if info.dtype.name in FLOAT_TYPES or (key == recipe.predicted and info.dtype.name in INT_TYPES)
    ]
    return name if name in numbers else numbers[0] if len(numbers) == 1 and not recipe.data.classes else ""


def batch_rows(inputs: Iterable[str]) -> int:
    """Returns how many rows with inputs of these names are asked for at a time."""
    return BATCH_FILES if any(name.endswith("_bytes") for name in inputs) else BATCH_ROWS


def read_batches(folder: Path, rows: int = BATCH_ROWS) -> Iterator[np.ndarray]:
    """Yields serialized examples of all TFRecords of a folder in order, (at most `rows`,) of bytes."""
    import tensorflow as tf

    files = sorted(str(path) for path in folder.iterdir())
    yield from tf.data.TFRecordDataset(files).batch(rows).as_numpy_iterator()


def _predict_batch(model: LoadedModel | None, records: np.ndarray, output: str) -> np.ndarray | None:
    return None if model is None else model.predict("serving_examples", {"examples": records})[output]


def _read_values(records: np.ndarray, names: Sequence[str]) -> list[list[Any]]:
    """Reads raw values of some features, one list per row."""
    from pipeline.formats import tfrecord

    rows = [tfrecord.parse_features(record, names) for record in records]
    return [[row.get(name) for name in names] for row in rows]


def _join_parts(recipe: Recipe, parts: list[tuple[Any, ...]], features: list[str]) -> Predictions:
    values, candidate, live = zip(*parts, strict=True)
    rows = [row for part in values for row in part]
    classes = [name.encode() for name in recipe.data.classes]
    labels = [row[0] for row in rows]
    numbers = [np.nan if label is None else label for label in labels]
    truth = np.array([classes.index(label) for label in labels] if classes else numbers)
    structured = bool(targets.target_kinds(recipe.data))
    slices = {name: np.array([slice_value(row[place]) for row in rows]) for place, name in enumerate(features, start=1)}
    answers = np.concatenate(candidate)
    live_answers = None if live[0] is None else np.concatenate(live)
    comparable = live_answers is not None and live_answers.shape == answers.shape
    return Predictions(
        answer_kind(truth, answers, len(classes), named=bool(recipe.predicted))
        if not structured
        else level_kind(answers),
        truth,
        answers,
        live_answers if comparable else None,
        slices,
    )


def slice_value(value: Any) -> str:
    """Formats a feature's value as TFMA does in the name of a slice."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def answer_kind(truth: np.ndarray, answers: np.ndarray, classes: int, *, named: bool) -> str:
    """Returns the kind of the predictions, see `Predictions`.

    Args:
        truth: Class numbers or numbers.
        answers: Predictions of the candidate.
        classes: Number of classes; 0 if the label is a number.
        named: Whether the recipe declares the output to evaluate.
    """
    if classes:
        return "classes" if answers.shape[1:] == (classes,) else level_kind(answers)
    if named and answers.ndim == 1 and set(np.unique(truth).tolist()) <= {0, 1}:
        return "score"
    return "numbers" if answers.shape == truth.shape else level_kind(answers)


def level_kind(answers: np.ndarray) -> str:
    """Returns the kind of predictions without a truth to hold them against."""
    return "level" if answers.ndim == 1 else ""
