"""One loaded version of a model, to be called in-process with the numbers that the server gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.core import columns, predict, signature
from serving.core.graph import find_decoders, find_loops, find_unchecked_decoders, is_stateless
from serving.core.session import CALLER_THREAD, Call, ModelSession, RunMode
from serving.errors import InvalidArgument
from serving.options import Session
from serving.wire.strings import MANY

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from serving.core.work import RunArgs, Scheduler, Values
    from serving.wire.dtypes import Dtype


class LoadedModel:
    """A SavedModel in memory; safe to call from several threads.

    Args:
        path: Folder of the version, with `saved_model.pb`.
        session: Options of TensorFlow's session; None for the defaults.
        tags: Tags of the graph to load.

    Attributes:
        path: That folder.
        signatures: What can be called, by name.
        signature_defs: The same as `tensorflow.SignatureDef` messages.
        shape_queues: What was learned about requests that could share a run.
        scheduler: Who runs its requests, once one came.
        columns: Names of the inputs in the file that was trained on.
        names_announced: Whether the metrics know its names.
        decoders: Operations of it that decode images or recordings.
        unchecked_decoders: Those that see bytes which nothing has checked.
        has_loops: Whether it repeats operations as often as its inputs say.
        engine: What generates its text, once it was asked for some.
        reserved: Signatures that the server alone may call.

    Raises:
        ServingError: It cannot be loaded.
    """

    def __init__(
        self, path: str | os.PathLike[str], session: Session | None = None, tags: Sequence[str] = ("serve",)
    ) -> None:
        self.path = Path(path)
        self._engine = ModelSession(self.path, session or Session(), tags)
        self._calls: dict[tuple[tuple[str, ...], tuple[str, ...], RunMode, tuple[str, ...] | None], Call] = {}
        self._reads_only: dict[tuple[str, ...], bool] = {}
        self.shape_queues: dict[object, Any] = {}
        self.scheduler: Scheduler | None = None
        self.names_announced = False
        self.engine: Any = None
        self.reserved = signature.reserved_signatures(self.path)
        self.decoders, self.unchecked_decoders = find_decoders(self.path), find_unchecked_decoders(self.path)
        self.has_loops = find_loops(self.path)
        self.columns = columns.read_columns(self.path)
        self.signature_defs: dict[str, Any] = self._engine.signature_defs
        self.signatures = {
            name: signature.read_signature(name, proto)
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
        known = self.signatures.get(signature_name or predict.DEFAULT_SIGNATURE)
        wanted = known.dtypes if known else {}
        given = {name: as_array(value, wanted.get(name)) for name, value in inputs.items()}
        return predict.run(self, signature_name, given)

    def run(self, args: RunArgs, mode: RunMode = CALLER_THREAD) -> Values:
        """Run the graph.

        Args:
            args: What to feed and fetch.
            mode: Which threads run it, and until when.

        Raises:
            ServingError: The graph failed; the code is TensorFlow's.
        """
        many = bool(args.packed) or (args.rows or 0) >= MANY
        mode = _mode_for_packed(mode) if args.packed else mode
        key = (args.feeds, args.fetches, mode, args.packed if many else None)
        call = self._calls.get(key)
        if call is None:  # two threads may both make one: the later stays, both work
            call = self._calls[key] = self._engine.callable(*key)
        return call(*args.arrays)

    def takes_batches(self, args: RunArgs) -> bool:
        """Whether all that is fed and fetched has a first dimension of any size."""
        try:
            shapes = [self._engine.graph.get_tensor_by_name(name).shape for name in (*args.feeds, *args.fetches)]
        except (KeyError, ValueError):  # the signature names what is not there; the run says so
            return False
        return all(shape.rank and shape[0] is None for shape in shapes)

    def reads_only(self, fetches: Sequence[str]) -> bool:
        """Whether computing these tensors changes nothing and draws no random numbers."""
        key = tuple(fetches)
        if key not in self._reads_only:  # walks the graph: it is asked for each group of a new shape
            self._reads_only[key] = is_stateless(self._engine.graph, key)
        return self._reads_only[key]

    def close(self) -> None:
        """Free its memory; no call may be running."""
        self._calls.clear()
        self.shape_queues.clear()
        self.engine = None
        self._engine.close()


def _mode_for_packed(mode: RunMode) -> RunMode:
    """Few modes for packed strings: each has a copy of the graph."""
    return RunMode(in_caller=False, timeout_ms=mode.timeout_ms or _LONGEST_MS)


_LONGEST_MS = 64_000  # as for a request that may take a minute, which is the default
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
