"""Profiles of rows, whose size does not depend on the number of rows, and the baseline to compare them with.

`Rows` holds raw rows of requests or training examples, column by column; `FeatureBuilder` builds the histograms of a
feature from training data; `Baseline` has these histograms with the counts of the training data.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.monitoring import features, measures
from pipeline.monitoring.features import Feature, Histogram, measure, project_outlines
from serving.wire import protos, tensor_proto

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


MAX_COMPONENTS = 4
MIN_DEVIATION = 1e-6  # of the deviation of the first component
MAX_VOCABULARY = 50_000
SHARE_EDGES = tuple(np.linspace(0, 1, features.BINS + 1).round(2).tolist())
# Fields of `TensorProto` that hold plain values: float, double, int32, string, int64.
PLAIN_FIELDS = {1: "float_val", 2: "double_val", 3: "int_val", 7: "string_val", 9: "int64_val"}


@dataclass(frozen=True)
class Profile:
    """Counts of rows on the axes of a baseline.

    Attributes:
        rows: How many rows were counted.
        counts: Rows per cell (cells,), by the axis' key.
        sent: Number of rows in which each feature was present, also features without an axis.
    """

    rows: int = 0
    counts: Mapping[str, np.ndarray] = field(default_factory=dict)
    sent: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Profile) -> Profile:
        """Returns the profile of both together."""
        return Profile(
            self.rows + other.rows, _add_counts(self.counts, other.counts), _add_counts(self.sent, other.sent)
        )

    def as_json(self) -> dict[str, Any]:
        """Returns the profile as JSON."""
        return {
            "rows": self.rows,
            "counts": {key: cells.tolist() for key, cells in self.counts.items()},
            "sent": dict(self.sent),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Profile:
        """Reads a profile from the result of `as_json`."""
        counts = {key: np.asarray(cells, np.int64) for key, cells in content["counts"].items()}
        return cls(content["rows"], counts, content["sent"])


def _add_counts(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {key: first.get(key, 0) + other.get(key, 0) for key in (*first, *(key for key in other if key not in first))}


def count_rows(features: Iterable[Feature], rows: Rows) -> Profile:
    """Counts some rows."""
    counts: dict[str, np.ndarray] = {}
    for feature in features:
        counts |= feature.counts(rows.columns.get(feature.name) or [None] * rows.count)
    return Profile(rows.count, counts, dict.fromkeys(rows.columns, rows.count))


@dataclass(frozen=True)
class Baseline:
    """Histograms of the training data, which rows are compared with.

    Attributes:
        features: How each feature is counted.
        training: Counts of the training data.
        total: Number of all training rows.
    """

    features: tuple[Feature, ...]
    training: Profile
    total: int

    @property
    def axes(self) -> list[Histogram]:
        """The axes of all features."""
        return [axis for feature in self.features for axis in feature.axes]

    def as_json(self) -> dict[str, Any]:
        """Returns the baseline as JSON."""
        features = [{**asdict(feature), "vocabulary": sorted(feature.vocabulary)} for feature in self.features]
        return {"features": features, "training": self.training.as_json(), "total": self.total}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Baseline:
        """Reads a baseline from the result of `as_json`."""
        features = tuple(_feature_from_json(feature) for feature in content["features"])
        return cls(features, Profile.from_json(content["training"]), content["total"])


def _feature_from_json(content: Mapping[str, Any]) -> Feature:
    axes = tuple(
        Histogram(axis["feature"], axis["name"], axis["kind"], tuple(axis["points"])) for axis in content["axes"]
    )
    basis = tuple(map(tuple, content["basis"]))
    vocabulary = frozenset(content["vocabulary"])
    return Feature(content["name"], content["role"], axes, tuple(content["center"]), basis, vocabulary)


class FeatureBuilder:
    """Collects measures of a feature and builds its histograms; of images and texts only measures are kept.

    Args:
        name: The feature.
        role: Its kind.
    """

    def __init__(self, name: str, role: str) -> None:
        self.name, self.role = name, role
        self._parts: dict[str, list[Any]] = {}
        self._texts: Counter[str] = Counter()  # in how many texts a word is

    def add(self, values: Sequence[Any]) -> None:
        """Adds values."""
        for name, part in measure(self.role, values).items():
            if name == "vocabulary":
                self._texts.update(word for words in part for word in words)
            else:
                self._parts.setdefault(name, []).append(part)

    def feature(self) -> Feature:
        """Returns the feature with its axes."""
        columns = dict(self._parts)
        outlines = np.concatenate(columns.pop("outline", [np.empty((0, 0))]))
        outlines = outlines[~np.isnan(outlines).any(axis=1)]
        center, basis = _principal_components(outlines)
        axes = [self._make_axis(measure, parts) for measure, parts in columns.items()]
        for number, scores in enumerate(project_outlines(outlines, center, basis).T if len(basis) else (), 1):
            axes.append(features.number_histogram(self.name, f"component {number}", scores))
        axes = _drop_grey_colours(axes) if self.role == "image" else axes + self._text_axes()
        known = frozenset(word for word, _ in self._texts.most_common(MAX_VOCABULARY))
        return Feature(self.name, self.role, tuple(axes), tuple(center.tolist()), _to_tuples(basis), known)

    def _make_axis(self, measure: str, parts: list[Any]) -> Histogram:
        if isinstance(parts[0], np.ndarray):
            return features.number_histogram(self.name, measure, np.concatenate(parts))
        return features.category_histogram(self.name, measure, [value for part in parts for value in part])

    def _text_axes(self) -> list[Histogram]:
        """Returns the axes of words. The edges for unknown words are fixed, because all words at hand are known."""
        if not self._texts:
            return []
        unknown = Histogram(self.name, "unknown words", features.NUMBERS, SHARE_EDGES)
        return [unknown, features.word_histogram(self.name, "vocabulary", self._texts)]


def _to_tuples(table: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, table.tolist()))


def _drop_grey_colours(axes: list[Histogram]) -> list[Histogram]:
    """Drops the colours of grey images, which only repeat their brightness."""
    edges = {histogram.name: histogram.points for histogram in axes}
    grey = all(edges[colour] == edges["red"] for colour in measures.COLOURS)
    return [histogram for histogram in axes if not (grey and histogram.name in measures.COLOURS)]


def _principal_components(outlines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean (numbers,) of outlines and their scaled principal components (components, numbers)."""
    if len(outlines) <= MAX_COMPONENTS:
        return np.empty(0), np.empty((0, 0))
    center = outlines.mean(axis=0)
    _, weights, directions = np.linalg.svd(outlines - center, full_matrices=False)
    there = weights[:MAX_COMPONENTS] > weights[0] * MIN_DEVIATION
    deviations = weights[:MAX_COMPONENTS][there] / np.sqrt(len(outlines))
    return center, directions[:MAX_COMPONENTS][there] / deviations[:, None]


class Rows:
    """Columns of raw values: a value is a number, bytes, an array, or None if it is missing.

    Attributes:
        count: Number of rows.
        columns: Values by name, `count` for each name.
    """

    def __init__(self) -> None:
        self.count = 0
        self.columns: dict[str, list[Any]] = {}

    def add_tensors(self, tensors: Mapping[str, Any]) -> None:
        """Adds the rows of a request.

        Args:
            tensors: `TensorProto`s of shape (rows, …) by name.

        Raises:
            InvalidArgument: A value is not a tensor.
        """
        values = {name: _tensor_values(tensor, name) for name, tensor in tensors.items()}
        for name, column in values.items():
            self._column(name).extend(column)
        self._fill_gaps(max(map(len, values.values()), default=0))

    def add_example(self, example: Any) -> None:
        """Adds the row of a `tf.train.Example`."""
        for name, feature in example.features.feature.items():
            self._column(name).append(_example_value(feature))
        self._fill_gaps(1)

    def _column(self, name: str) -> list[Any]:
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = [None] * self.count
        return column

    def _fill_gaps(self, count: int) -> None:
        """Fills the columns that are missing in the newest rows."""
        self.count += count
        for column in self.columns.values():
            if len(column) != self.count:
                del column[self.count :]
                column.extend([None] * (self.count - len(column)))


def _tensor_values(tensor: Any, name: str) -> Sequence[Any]:
    """Returns one value per row. Most of the time of reading a log is spent here."""
    dims = tensor.tensor_shape.dim
    field = PLAIN_FIELDS.get(tensor.dtype) if len(dims) == 1 else None
    if field:
        values: Sequence[Any] = getattr(tensor, field)
        if len(values) == dims[0].size:
            return values
    array = np.atleast_1d(tensor_proto.decode(tensor, name))
    flat = array.reshape(len(array), -1)
    return flat[:, 0].tolist() if flat.shape[1] == 1 else list(flat)


def _example_value(feature: Any) -> Any:
    """Returns the value of a `tf.train.Feature`: a single one, an array of numbers, or bytes joined by spaces."""
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    if len(values) <= 1:
        return values[0] if values else None
    return b" ".join(values) if kind == "bytes_list" else np.asarray(values, np.float32)


def example_type() -> Any:
    """Returns the message type `tf.train.Example`, without importing TensorFlow."""
    from google.protobuf.message_factory import GetMessageClass

    inputs = protos.load("apis.input_pb2")
    return GetMessageClass(inputs.ExampleList.DESCRIPTOR.fields_by_name["examples"].message_type)
