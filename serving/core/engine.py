"""TensorFlow's session over one SavedModel: the runtime that the C++ server uses too.

`tf.saved_model.load` refuses some old models and checks shapes, the loader of version 1 does neither.
`Session._make_callable_from_options` is private, but 20 times faster than a signature function and it
releases the interpreter's lock; where it is missing, `Session.run` does the same work.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from serving.core import constants
from serving.errors import Code, NotFound, ServingError, of_code

if TYPE_CHECKING:
    from pathlib import Path

    from serving.options import Session

Call = Callable[..., list[np.ndarray]]


class Way(NamedTuple):
    """How a graph is run.

    Attributes:
        in_caller: Whether one operation after the other runs in the calling thread; those that are large use
            other threads within. Else independent operations run at a time.
        timeout_ms: When a run is given up as DEADLINE_EXCEEDED; 0 for never. In the calling thread it has no effect.
    """

    in_caller: bool
    timeout_ms: int


CALLER = Way(in_caller=True, timeout_ms=0)
POOL = Way(in_caller=False, timeout_ms=0)


class Engine:
    """One loaded graph.

    Args:
        path: Folder of the SavedModel.
        session: How TensorFlow's runtime is set up.
        tags: Tags of the graph in the SavedModel.

    Attributes:
        graph: The `tf.Graph`.
        signature_defs: `tensorflow.SignatureDef` messages by name.

    Raises:
        ServingError: The folder is no SavedModel, or its graph cannot be loaded; the code is TensorFlow's.
    """

    def __init__(self, path: Path, session: Session, tags: Sequence[str] = ("serve",)) -> None:
        if not any((path / name).exists() for name in ("saved_model.pb", "saved_model.pbtxt")):
            raise NotFound(f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}")
        tf = tensorflow()
        self.graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self.graph, config=_config(session))
        try:
            with self.graph.as_default(), _quiet():
                meta = tf.compat.v1.saved_model.loader.load(self._session, list(tags), os.fspath(path))
            constants.check(meta.graph_def)
        except ServingError:
            self._session.close()
            raise
        except Exception as error:
            self._session.close()
            raise _loading_error(error) from error
        self.signature_defs: dict[str, Any] = dict(meta.signature_def)

    def callable(self, feeds: Sequence[str], fetches: Sequence[str], way: Way = CALLER) -> Call:
        """A function from fed arrays, in order, to fetched arrays, in order; raises `ServingError`.

        Args:
            feeds: Names of the tensors to feed.
            fetches: Names of the tensors to compute.
            way: Which threads run it, and until when.
        """
        # Handing a small graph to other threads costs three times as much as running it (6 against 20 us).
        pool = -1 if way.in_caller else 0
        options = tensorflow().compat.v1.RunOptions(timeout_in_ms=way.timeout_ms, inter_op_thread_pool=pool)
        try:
            run = _fast_call(self._session, feeds, fetches, options)
        except tensorflow().errors.OpError as error:  # the signature names what is not there, or cannot be built
            raise of_code(_code(error.error_code), error.message) from error
        run = run or _plain_call(self._session, feeds, fetches, options)

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


def _config(session: Session) -> Any:
    """The `tf.ConfigProto` of the options.

    Raises:
        InvalidArgument: The file with it cannot be parsed.
    """
    from google.protobuf import text_format

    tf = tensorflow()
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True  # a training run may share the accelerator
    if session.gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = session.gpu_memory_fraction
    if session.config_file is None:
        config.intra_op_parallelism_threads = session.intra_threads
        config.inter_op_parallelism_threads = session.inter_threads
        return config
    try:
        return text_format.Parse(session.config_file.read_text(), config)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise of_code(Code.INVALID_ARGUMENT, f"Error parsing text-format tensorflow.ConfigProto: {error}") from error


def _array(value: Any) -> np.ndarray:
    """A fetched value as an array: the session gives scalars as plain bytes or numpy scalars."""
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


_here = threading.local()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the loader's notes: that it is deprecated, and one line per file it restores."""
    logging.getLogger("tensorflow").addFilter(_is_worth_telling)  # once, however often it is called
    _here.loads = True  # of this thread: others may load and log at the same time
    try:
        yield
    finally:
        _here.loads = False


def _is_worth_telling(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not getattr(_here, "loads", False)


def tensorflow() -> Any:
    """TensorFlow, imported at the first use."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    return tf


def _fast_call(session: Any, feeds: Sequence[str], fetches: Sequence[str], options: Any) -> Call | None:
    make = getattr(session, "_make_callable_from_options", None)
    if make is None:
        return None
    from tensorflow.core.protobuf import config_pb2

    run: Call = make(config_pb2.CallableOptions(feed=feeds, fetch=fetches, run_options=options))
    return run


def _plain_call(session: Any, feeds: Sequence[str], fetches: Sequence[str], options: Any) -> Call:
    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        values: list[np.ndarray] = session.run(list(fetches), dict(zip(feeds, arrays, strict=True)), options=options)
        return values

    return run


def _code(number: int) -> Code:
    return Code(number) if number in {code.value for code in Code} else Code.UNKNOWN


def _loading_error(error: Exception) -> ServingError:
    code = getattr(error, "error_code", None)
    if code is not None:
        return of_code(_code(code), getattr(error, "message", str(error)))
    return of_code(Code.NOT_FOUND if isinstance(error, OSError) else Code.INVALID_ARGUMENT, str(error))
