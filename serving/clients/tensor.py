"""Arrays in messages: numbers as one block of bytes, whatever their type."""

from __future__ import annotations

from typing import Any

import numpy as np

from serving.wire import dtype as dtypes
from serving.wire import tensor_proto


def encode(array: np.ndarray, proto: Any) -> None:
    """Write an array into an empty TensorProto.

    Args:
        array: Any shape, of a tensor's type; strings as objects of bytes.
        proto: The `tensorflow.TensorProto`.
    """
    dtype = dtypes.of_array(array)
    if dtype.numpy is None or dtype is dtypes.STRING:
        tensor_proto.encode(array, proto)
        return
    proto.dtype = dtype.number
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = np.ascontiguousarray(array).astype(dtype.numpy.newbyteorder("<"), copy=False).tobytes()


def decode(proto: Any, name: str) -> np.ndarray:
    """The array of a TensorProto, which the caller may write into."""
    found = tensor_proto.decode(proto, name)
    return found if found.flags.writeable else found.copy()
