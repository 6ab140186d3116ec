"""One loaded version of a model, usable in-process with the numbers that the server gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.core import predict, signature
from serving.core.engine import Call, Engine
from serving.errors import InvalidArgument

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from serving.wire.dtype import Dtype


class LoadedModel:
    """A SavedModel in memory; safe to call from several threads.

    Args:
        path: Folder of the version, with `saved_model.pb`.

    Attributes:
        path: That folder.
        signatures: What can be called, by name.
        signature_defs: The same as `tensorflow.SignatureDef` messages.

    Raises:
        ServingError: It cannot be loaded.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._engine = Engine(self.path)
        self._calls: dict[tuple[tuple[str, ...], tuple[str, ...]], Call] = {}
        self.signature_defs: dict[str, Any] = self._engine.signature_defs
        self.signatures = {
            name: signature.of_proto(name, proto)
            for name, proto in sorted(self.signature_defs.items())
            if name != "__saved_model_init_op"  # bookkeeping of the exporter
        }

    def predict(self, signature_name: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Run a signature on plain values.

        Args:
            signature_name: Key of the signature; empty for `serving_default`.
            inputs: Arrays, lists, numbers, str or bytes by input name; converted to the declared types.

        Returns:
            Arrays by output name; strings as objects of bytes.

        Raises:
            ServingError: No such signature, inputs that do not fit, or a failure in the graph.
        """
        known = self.signatures.get(signature_name or predict.DEFAULT)
        wanted = known.dtypes if known else {}
        return predict.run(self, signature_name, {name: as_array(v, wanted.get(name)) for name, v in inputs.items()})

    def call(self, feeds: tuple[str, ...], fetches: tuple[str, ...], arrays: Iterable[np.ndarray]) -> list[np.ndarray]:
        """Feed tensors and fetch others, by their names in the graph."""
        key = (feeds, fetches)
        run = self._calls.get(key)
        if run is None:  # two threads may both make one: the later stays, both work
            run = self._calls[key] = self._engine.callable(feeds, fetches)
        return run(*arrays)

    def close(self) -> None:
        """Free its memory; no call may be running."""
        self._calls.clear()
        self._engine.close()


_KINDS = "buifc"  # each kind of number is taken where a later one is wanted


def as_array(value: Any, dtype: Dtype | None) -> np.ndarray:
    """A plain value as an array of a tensor type.

    Raises:
        InvalidArgument: The value is ragged or has another type.
    """
    try:
        if dtype is None or dtype.numpy is None:
            return np.asarray(value)
        if dtype.name == "string":
            return _text_array(value)
        array = np.asarray(value)
        if array.size and _KINDS.find(array.dtype.kind) > _KINDS.find(
            dtype.numpy.kind.replace("u", "i").replace("V", "f")
        ):
            raise InvalidArgument(f"Expected values of type {dtype.name}. Received: {array.dtype}")
        return array.astype(dtype.numpy, copy=False)
    except (ValueError, TypeError) as error:
        raise InvalidArgument(
            f"Expected an evenly nested list of {dtype.name if dtype else 'values'}: {error}"
        ) from error


def _text_array(value: Any) -> np.ndarray:
    array = np.asarray(value, dtype=object)
    flat = np.empty(array.size, dtype=object)
    flat[:] = [_bytes(item) for item in array.reshape(-1)]
    return flat.reshape(array.shape)


def _bytes(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, (bytes, bytearray, np.bytes_)):
        return bytes(item)
    raise InvalidArgument(f"Expected str or bytes. Received: {type(item).__name__}")
