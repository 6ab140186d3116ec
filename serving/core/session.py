"""TensorFlow's session over one SavedModel: the runtime that the C++ server uses too.

`tf.saved_model.load` refuses some old models and checks shapes, the loader of version 1 does neither.
What `Session.run` calls is private, but 20 times faster than a signature function, and it releases the interpreter's
lock; where it is missing, `Session.run` does the same work. All ways to run the same tensors share one copy of the
graph, which is optimized at the first run: seconds, where the graph is large. (Callables have a copy each.)

Strings pass between Python and TensorFlow as objects, and its lock is held for each; many of them pass as `Strings`,
which operations that are added to the graph read and write (`serving.core.graph.StringOps`). To connect their readers
takes a callable.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from serving.core.graph import StringOps, check_constants
from serving.errors import Code, NotFound, ServingError, error_from_code
from serving.wire.strings import Strings, as_array

if TYPE_CHECKING:
    from pathlib import Path

    from serving.options import Session
    from serving.wire.strings import Tensor


Call = Callable[..., list[np.ndarray | Strings]]
_thread_state = threading.local()


class RunMode(NamedTuple):
    """How a graph is run.

    Attributes:
        in_caller: Whether one operation after the other runs in the calling thread; those that are large use
            other threads within. Else independent operations run at a time.
        timeout_ms: When a run is given up as DEADLINE_EXCEEDED; 0 for never. In the calling thread it has no effect.
    """

    in_caller: bool
    timeout_ms: int


CALLER_THREAD = RunMode(in_caller=True, timeout_ms=0)
THREAD_POOL = RunMode(in_caller=False, timeout_ms=0)


class ModelSession:
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
        tf = import_tensorflow()
        self.graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self.graph, config=_config_proto(session))
        try:
            with self.graph.as_default(), _quiet_loader():
                meta = tf.compat.v1.saved_model.loader.load(self._session, list(tags), os.fspath(path))
            check_constants(meta.graph_def)
        except ServingError:
            self._session.close()
            raise
        except Exception as error:
            self._session.close()
            raise _loading_error(error) from error
        self.signature_defs: dict[str, Any] = dict(meta.signature_def)
        self._string_ops = StringOps(self.graph, self.signature_defs.values())

    def callable(
        self,
        feeds: Sequence[str],
        fetches: Sequence[str],
        mode: RunMode = CALLER_THREAD,
        packed: Sequence[str] | None = None,
    ) -> Call:
        """A function from fed tensors, in order, to fetched ones, in order; raises `ServingError`.

        Args:
            feeds: Names of the tensors to feed.
            fetches: Names of the tensors to compute.
            mode: Which threads run it, and until when.
            packed: Which of the fed tensors are `Strings`; if not None, so are all strings that are fetched.
        """
        # Handing a small graph to other threads costs three times as much as running it (6 against 20 us).
        pool = -1 if mode.in_caller else 0
        options = import_tensorflow().compat.v1.RunOptions(timeout_in_ms=mode.timeout_ms, inter_op_thread_pool=pool)
        try:
            run = None if packed is None else self._string_call(feeds, fetches, options, packed)
            run = run or _shared_call(self._session, feeds, fetches, options)
            run = run or _callable_call(self._session, feeds, fetches, options)
        except import_tensorflow().errors.OpError as error:  # the signature names what is not there, or cannot be built
            raise error_from_code(_canonical_code(error.error_code), error.message) from error
        run = run or _plain_call(self._session, feeds, fetches, options)

        def call(*tensors: Tensor) -> list[Tensor]:
            try:
                return [_as_tensor(value) for value in run(*tensors)]
            except import_tensorflow().errors.OpError as error:
                raise error_from_code(_canonical_code(error.error_code), error.message) from error
            except (ValueError, TypeError, RuntimeError) as error:
                raise error_from_code(Code.INVALID_ARGUMENT, str(error)) from error

        return call

    def _string_call(
        self, feeds: Sequence[str], fetches: Sequence[str], options: Any, packed: Sequence[str]
    ) -> Call | None:
        """As `_shared_call`, with `Strings` for what is packed, and for all strings that are fetched."""
        ops = self._string_ops
        readers = {name: ops.readers[name] for name in packed if name in ops.readers}  # else numbers belong there
        groups = [ops.writers.get(name, (name,)) for name in fetches]
        fetched = [name for group in groups for name in group]
        call = _connected_call(self._session, feeds, fetched, options, readers) if readers else None
        call = call or _shared_call(self._session, feeds, fetched, options)
        if call is None:
            return None

        def run(*tensors: Tensor) -> list[Tensor]:
            values = iter(call(*tensors))
            return [_read_strings(next(values), next(values)) if len(group) > 1 else next(values) for group in groups]

        return run

    def close(self) -> None:
        """Free the session; no call may be running."""
        self._session.close()


def _config_proto(session: Session) -> Any:
    """The `tf.ConfigProto` of the options.

    Raises:
        InvalidArgument: The file with it cannot be parsed.
    """
    from google.protobuf import text_format

    tf = import_tensorflow()
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
        raise error_from_code(
            Code.INVALID_ARGUMENT, f"Error parsing text-format tensorflow.ConfigProto: {error}"
        ) from error


def _as_tensor(value: Any) -> Tensor:
    """A fetched value: the session gives scalars as plain bytes or numpy scalars."""
    if isinstance(value, Strings):
        return value
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


@contextmanager
def _quiet_loader() -> Iterator[None]:
    """Without the loader's notes: that it is deprecated, and one line per file it restores."""
    logging.getLogger("tensorflow").addFilter(_is_worth_logging)  # once, however often it is called
    _thread_state.loads = True  # of this thread: others may load and log at the same time
    try:
        yield
    finally:
        _thread_state.loads = False


def _is_worth_logging(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not getattr(_thread_state, "loads", False)


def import_tensorflow() -> Any:
    """TensorFlow, imported at the first use."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    return tf


def _shared_call(session: Any, feeds: Sequence[str], fetches: Sequence[str], options: Any) -> Call | None:
    """What `Session.run` calls; None where TensorFlow does not have it, or has not what is named."""
    from tensorflow.python.client import pywrap_tf_session

    start = getattr(pywrap_tf_session, "TF_SessionRun_wrapper", None)
    try:
        fed, fetched = (
            [session.graph.get_tensor_by_name(name)._as_tf_output() for name in names]  # noqa: SLF001
            for names in (feeds, fetches)
        )
    except (KeyError, ValueError, AttributeError):
        return None
    if start is None or len({*feeds}) < len(feeds):  # a tensor that is fed twice is an error of its own
        return None
    session._extend_graph()  # noqa: SLF001 - operations were added since
    buffer = pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())

    def run(*tensors: Tensor) -> list[Tensor]:
        arrays = dict(zip(fed, map(as_array, tensors), strict=True))
        values: list[Tensor] = start(session._session, buffer, arrays, fetched, [], None)  # noqa: SLF001
        return values

    weakref.finalize(run, pywrap_tf_session.TF_DeleteBuffer, buffer)
    return run


def _callable_call(
    session: Any,
    feeds: Sequence[str],
    fetches: Sequence[str],
    options: Any,
    connections: Iterable[tuple[str, str]] = (),
) -> Call | None:
    """A callable, with a copy of the graph of its own; raises `OpError`. None where TensorFlow does not have them."""
    make = getattr(session, "_make_callable_from_options", None)
    if make is None:
        return None
    from tensorflow.core.protobuf import config_pb2

    links = [config_pb2.TensorConnection(from_tensor=start, to_tensor=end) for start, end in connections]
    run: Call = make(
        config_pb2.CallableOptions(feed=feeds, fetch=fetches, run_options=options, tensor_connection=links)
    )
    return run


def _connected_call(
    session: Any, feeds: Sequence[str], fetches: Sequence[str], options: Any, readers: Mapping[str, tuple[str, str]]
) -> Call | None:
    """As `_callable_call`, with messages for the tensors that have a reader: names of its input and its output."""
    fed = [readers[name][0] if name in readers else name for name in feeds]
    order = sorted(range(len(fed)), key=fed.__getitem__)  # a session numbers its arguments by their names
    links = [(reader[1], name) for name, reader in readers.items()]
    call = _callable_call(session, [fed[at] for at in order], fetches, options, links)
    if call is None:
        return None

    def run(*tensors: Tensor) -> list[Tensor]:
        arrays = [_as_message(each) if name in readers else as_array(each)
                  for name, each in zip(feeds, tensors, strict=True)]  # fmt: skip
        return call(*(arrays[at] for at in order))

    return run


def _plain_call(session: Any, feeds: Sequence[str], fetches: Sequence[str], options: Any) -> Call:
    def run(*tensors: Tensor) -> list[Tensor]:
        arrays = map(as_array, tensors)
        values: list[Tensor] = session.run(list(fetches), dict(zip(feeds, arrays, strict=True)), options=options)
        return values

    return run


def _canonical_code(number: int) -> Code:
    return Code(number) if number in {code.value for code in Code} else Code.UNKNOWN


def _loading_error(error: Exception) -> ServingError:
    code = getattr(error, "error_code", None)
    if code is not None:
        return error_from_code(_canonical_code(code), getattr(error, "message", str(error)))
    return error_from_code(Code.NOT_FOUND if isinstance(error, OSError) else Code.INVALID_ARGUMENT, str(error))


def _as_message(strings: Tensor) -> np.ndarray:
    assert isinstance(strings, Strings)
    return np.array(strings.serialize(), dtype=object)


def _read_strings(sizes: Any, content: Any) -> Strings:
    sizes = np.asarray(sizes)
    return Strings.from_sizes(sizes.shape, sizes.reshape(-1), np.frombuffer(content, np.uint8))
