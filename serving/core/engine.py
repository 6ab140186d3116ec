"""TensorFlow's session over one SavedModel: the runtime that the C++ server uses too.

`tf.saved_model.load` refuses some old models and checks shapes, the loader of version 1 does neither.
`Session._make_callable_from_options` is private, but 20 times faster than a signature function and it
releases the interpreter's lock; where it is missing, `Session.run` does the same work.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import Code, NotFound, ServingError, of_code

if TYPE_CHECKING:
    from pathlib import Path

Call = Callable[..., list[np.ndarray]]


class Engine:
    """One loaded graph.

    Args:
        path: Folder of the SavedModel.

    Raises:
        ServingError: The folder is no SavedModel, or its graph cannot be loaded; the code is TensorFlow's.
    """

    def __init__(self, path: Path) -> None:
        if not any((path / name).exists() for name in ("saved_model.pb", "saved_model.pbtxt")):
            raise NotFound(f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}")
        tf = tensorflow()
        graph = tf.Graph()
        config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
        config.gpu_options.allow_growth = True  # a training run may share the accelerator
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        try:
            with graph.as_default(), _quiet():
                meta = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], os.fspath(path))
        except Exception as error:
            self._session.close()
            raise _loading_error(error) from error
        self.signature_defs: dict[str, Any] = dict(meta.signature_def)

    def callable(self, feeds: Sequence[str], fetches: Sequence[str]) -> Call:
        """A function from fed arrays, in order, to fetched arrays, in order; raises `ServingError`."""
        run = _fast_call(self._session, feeds, fetches) or _plain_call(self._session, feeds, fetches)

        def call(*arrays: np.ndarray) -> list[np.ndarray]:
            try:
                return [_array(value) for value in run(*arrays)]
            except tensorflow().errors.OpError as error:
                raise of_code(_code(error.error_code), error.message) from error
            except (ValueError, TypeError, RuntimeError) as error:
                raise of_code(Code.INVALID_ARGUMENT, str(error)) from error

        return call

    def close(self) -> None:
        """Free the session; no call may be running."""
        self._session.close()


def _array(value: Any) -> np.ndarray:
    """A fetched value as an array: the session gives scalars as plain bytes or numpy scalars."""
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the loader's notes: that it is deprecated, and one line per file it restores."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def tensorflow() -> Any:
    """TensorFlow, imported at the first use."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    return tf


def _fast_call(session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> Call | None:
    make = getattr(session, "_make_callable_from_options", None)
    if make is None:
        return None
    from tensorflow.core.protobuf import config_pb2

    run: Call = make(config_pb2.CallableOptions(feed=feeds, fetch=fetches))
    return run


def _plain_call(session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> Call:
    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        values: list[np.ndarray] = session.run(list(fetches), dict(zip(feeds, arrays, strict=True)))
        return values

    return run


def _code(number: int) -> Code:
    return Code(number) if number in {code.value for code in Code} else Code.UNKNOWN


def _loading_error(error: Exception) -> ServingError:
    code = getattr(error, "error_code", None)
    if code is not None:
        return of_code(_code(code), getattr(error, "message", str(error)))
    return of_code(Code.NOT_FOUND if isinstance(error, OSError) else Code.INVALID_ARGUMENT, str(error))
