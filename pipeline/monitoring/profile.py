"""Rows as they were counted: a summary whose size does not depend on how many there were.

What a model's training data look like: how each feature is counted, and what the training data count there.

How a feature is counted, found out from values of the training data.

Raw rows, column by column, as requests and training examples bring them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.monitoring import features, measures
from pipeline.monitoring.features import Axis, Feature, components, measured
from serving.wire import protos, tensor_proto

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


COMPONENTS = 4
NEGLIGIBLE = 1e-6  # of the first component's deviation
VOCABULARY = 50_000
SHARES = tuple(np.linspace(0, 1, features.BINS + 1).round(2).tolist())
# Fields of `TensorProto` whose values are the rows as they stand: float, double, int32, string, int64.
PLAIN = {1: "float_val", 2: "double_val", 3: "int_val", 7: "string_val", 9: "int64_val"}


@dataclass(frozen=True)
class Profile:
    """Counts on the axes of a frame.

    Attributes:
        rows: How many rows were counted.
        counts: Rows per cell (cells,), by the axis' key.
        sent: In how many rows each feature had a place, those that no axis knows, too.
    """

    rows: int = 0
    counts: Mapping[str, np.ndarray] = field(default_factory=dict)
    sent: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Profile) -> Profile:
        """The profile of both together."""
        return Profile(self.rows + other.rows, _sum(self.counts, other.counts), _sum(self.sent, other.sent))

    def as_json(self) -> dict[str, Any]:
        """The profile as JSON."""
        return {
            "rows": self.rows,
            "counts": {key: cells.tolist() for key, cells in self.counts.items()},
            "sent": dict(self.sent),
        }

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Profile:
        """The profile that `as_json` gave."""
        counts = {key: np.asarray(cells, np.int64) for key, cells in found["counts"].items()}
        return cls(found["rows"], counts, found["sent"])


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in (*one, *(key for key in other if key not in one))}


def counted(features: Iterable[Feature], rows: Rows) -> Profile:
    """The profile of some rows."""
    counts: dict[str, np.ndarray] = {}
    for feature in features:
        counts |= feature.counts(rows.columns.get(feature.name) or [None] * rows.count)
    return Profile(rows.count, counts, dict.fromkeys(rows.columns, rows.count))


@dataclass(frozen=True)
class Frame:
    """Training data as they are compared with.

    Attributes:
        features: How each feature is counted.
        training: What the training data count.
        total: Rows that the training data have in all.
    """

    features: tuple[Feature, ...]
    training: Profile
    total: int

    @property
    def axes(self) -> list[Axis]:
        """The axes of all features."""
        return [axis for feature in self.features for axis in feature.axes]

    def as_json(self) -> dict[str, Any]:
        """The frame as JSON."""
        features = [{**asdict(one), "vocabulary": sorted(one.vocabulary)} for one in self.features]
        return {"features": features, "training": self.training.as_json(), "total": self.total}

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Frame:
        """The frame that `as_json` gave."""
        features = tuple(_feature(one) for one in found["features"])
        return cls(features, Profile.of_json(found["training"]), found["total"])


def _feature(found: Mapping[str, Any]) -> Feature:
    axes = tuple(Axis(one["feature"], one["name"], one["kind"], tuple(one["points"])) for one in found["axes"])
    basis = tuple(map(tuple, found["basis"]))
    vocabulary = frozenset(found["vocabulary"])
    return Feature(found["name"], found["role"], axes, tuple(found["center"]), basis, vocabulary)


class Fitting:
    """Collects what is measured of a feature, and draws its axes; of images and texts nothing else is kept.

    Args:
        name: The feature.
        role: What kind it is.
    """

    def __init__(self, name: str, role: str) -> None:
        self.name, self.role = name, role
        self._found: dict[str, list[Any]] = {}
        self._texts: Counter[str] = Counter()  # in how many texts a word is

    def add(self, values: Sequence[Any]) -> None:
        """Takes values in."""
        for measure, part in measured(self.role, values).items():
            if measure == "vocabulary":
                self._texts.update(word for words in part for word in words)
            else:
                self._found.setdefault(measure, []).append(part)

    def feature(self) -> Feature:
        """The feature with its axes."""
        found = dict(self._found)
        outlines = np.concatenate(found.pop("outline", [np.empty((0, 0))]))
        outlines = outlines[~np.isnan(outlines).any(axis=1)]
        center, basis = _components(outlines)
        axes = [self._axis(measure, parts) for measure, parts in found.items()]
        for number, scores in enumerate(components(outlines, center, basis).T if len(basis) else (), 1):
            axes.append(features.of_numbers(self.name, f"component {number}", scores))
        axes = _without_grey(axes) if self.role == "image" else axes + self._of_texts()
        known = frozenset(word for word, _ in self._texts.most_common(VOCABULARY))
        return Feature(self.name, self.role, tuple(axes), tuple(center.tolist()), _nested(basis), known)

    def _axis(self, measure: str, parts: list[Any]) -> Axis:
        if isinstance(parts[0], np.ndarray):
            return features.of_numbers(self.name, measure, np.concatenate(parts))
        return features.of_categories(self.name, measure, [value for part in parts for value in part])

    def _of_texts(self) -> list[Axis]:
        """The axes of the words; fixed shares, since the words of the texts at hand are all known."""
        if not self._texts:
            return []
        unknown = Axis(self.name, "unknown words", features.NUMBERS, SHARES)
        return [unknown, features.of_words(self.name, "vocabulary", self._texts)]


def _nested(table: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, table.tolist()))


def _without_grey(axes: list[Axis]) -> list[Axis]:
    """Drops the colours of grey images, which are their brightness again."""
    edges = {one.name: one.points for one in axes}
    grey = all(edges[colour] == edges["red"] for colour in measures.COLOURS)
    return [one for one in axes if not (grey and one.name in measures.COLOURS)]


def _components(outlines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (numbers,) and principal components over their deviations (components, numbers) of outlines."""
    if len(outlines) <= COMPONENTS:
        return np.empty(0), np.empty((0, 0))
    center = outlines.mean(axis=0)
    _, weights, directions = np.linalg.svd(outlines - center, full_matrices=False)
    there = weights[:COMPONENTS] > weights[0] * NEGLIGIBLE
    deviations = weights[:COMPONENTS][there] / np.sqrt(len(outlines))
    return center, directions[:COMPONENTS][there] / deviations[:, None]


class Rows:
    """Columns of raw values: a value is a number, bytes, an array, or None where it is missing.

    Attributes:
        count: Rows so far.
        columns: Values by name, `count` of each.
    """

    def __init__(self) -> None:
        self.count = 0
        self.columns: dict[str, list[Any]] = {}

    def add_tensors(self, tensors: Mapping[str, Any]) -> None:
        """Adds the rows of a request.

        Args:
            tensors: `TensorProto`s of shape (rows, …) by name.

        Raises:
            InvalidArgument: One is no tensor.
        """
        values = {name: _values(tensor, name) for name, tensor in tensors.items()}
        for name, column in values.items():
            self._column(name).extend(column)
        self._close(max(map(len, values.values()), default=0))

    def add_example(self, example: Any) -> None:
        """Adds the row of a `tf.train.Example`."""
        for name, feature in example.features.feature.items():
            self._column(name).append(_value(feature))
        self._close(1)

    def _column(self, name: str) -> list[Any]:
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = [None] * self.count
        return column

    def _close(self, count: int) -> None:
        """Fills the columns that the newest rows did not bring."""
        self.count += count
        for column in self.columns.values():
            if len(column) != self.count:
                del column[self.count :]
                column.extend([None] * (self.count - len(column)))


def _values(tensor: Any, name: str) -> Sequence[Any]:
    """One value per row; this is where the time of reading a log goes."""
    dims = tensor.tensor_shape.dim
    field = PLAIN.get(tensor.dtype) if len(dims) == 1 else None
    if field:
        values: Sequence[Any] = getattr(tensor, field)
        if len(values) == dims[0].size:
            return values
    array = np.atleast_1d(tensor_proto.decode(tensor, name))
    flat = array.reshape(len(array), -1)
    return flat[:, 0].tolist() if flat.shape[1] == 1 else list(flat)


def _value(feature: Any) -> Any:
    """The value of a `tf.train.Feature`: one, an array of numbers, or bytes joined by spaces."""
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    if len(values) <= 1:
        return values[0] if values else None
    return b" ".join(values) if kind == "bytes_list" else np.asarray(values, np.float32)


def example_type() -> Any:
    """The message `tf.train.Example`, without importing TensorFlow."""
    from google.protobuf.message_factory import GetMessageClass

    inputs = protos.load("apis.input_pb2")
    return GetMessageClass(inputs.ExampleList.DESCRIPTOR.fields_by_name["examples"].message_type)
