"""Raw rows, column by column, as requests and training examples bring them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from serving.wire import protos, tensor_proto

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Fields of `TensorProto` whose values are the rows as they stand: float, double, int32, string, int64.
PLAIN = {1: "float_val", 2: "double_val", 3: "int_val", 7: "string_val", 9: "int64_val"}


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
