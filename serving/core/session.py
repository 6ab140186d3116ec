"""TensorFlow's session over one SavedModel: the runtime that the C++ server uses too.

`tf.saved_model.load` refuses some old models and checks shapes, the loader of version 1 does neither.
`Session._make_callable_from_options` is private, but 20 times faster than a signature function, and it releases the
interpreter's lock; where it is missing, `Session.run` does the same work.

Two questions about the graph are answered here as well: whether its constants are sound (TensorFlow would abort the
process over a damaged one), and whether it is stateless, so that it may be run once more without anybody noticing.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from serving.errors import Code, InvalidArgument, NotFound, ServingError, error_from_code

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from serving.options import Session


Call = Callable[..., list[np.ndarray]]
_thread_state = threading.local()
# TensorFlow counts these as stateful, yet they change nothing and draw no random numbers.
_READ_ONLY_OPS = frozenset(
    {
        "AnonymousHashTable", "Assert", "Case", "HashTable", "HashTableV2", "If", "LookupTableFind",
        "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2", "PartitionedCall", "Placeholder", "ReadVariableOp",
        "ResourceGather", "ResourceGatherNd", "StatefulPartitionedCall", "StatelessCase", "StatelessIf",
        "StatelessWhile", "TensorArrayCloseV3", "TensorArrayConcatV3", "TensorArrayGatherV3", "TensorArrayReadV3",
        "TensorArrayScatterV3", "TensorArraySizeV3", "TensorArrayV3", "TensorArrayWriteV3", "VarHandleOp",
        "VarIsInitializedOp", "Variable", "VariableV2", "While",
    }
)  # fmt: skip


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

    def callable(self, feeds: Sequence[str], fetches: Sequence[str], mode: RunMode = CALLER_THREAD) -> Call:
        """A function from fed arrays, in order, to fetched arrays, in order; raises `ServingError`.

        Args:
            feeds: Names of the tensors to feed.
            fetches: Names of the tensors to compute.
            mode: Which threads run it, and until when.
        """
        # Handing a small graph to other threads costs three times as much as running it (6 against 20 us).
        pool = -1 if mode.in_caller else 0
        options = import_tensorflow().compat.v1.RunOptions(timeout_in_ms=mode.timeout_ms, inter_op_thread_pool=pool)
        try:
            run = _fast_call(self._session, feeds, fetches, options)
        except import_tensorflow().errors.OpError as error:  # the signature names what is not there, or cannot be built
            raise error_from_code(_canonical_code(error.error_code), error.message) from error
        run = run or _plain_call(self._session, feeds, fetches, options)

        def call(*arrays: np.ndarray) -> list[np.ndarray]:
            try:
                return [_as_array(value) for value in run(*arrays)]
            except import_tensorflow().errors.OpError as error:
                raise error_from_code(_canonical_code(error.error_code), error.message) from error
            except (ValueError, TypeError, RuntimeError) as error:
                raise error_from_code(Code.INVALID_ARGUMENT, str(error)) from error

        return call

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


def _as_array(value: Any) -> np.ndarray:
    """A fetched value as an array: the session gives scalars as plain bytes or numpy scalars."""
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


def _canonical_code(number: int) -> Code:
    return Code(number) if number in {code.value for code in Code} else Code.UNKNOWN


def _loading_error(error: Exception) -> ServingError:
    code = getattr(error, "error_code", None)
    if code is not None:
        return error_from_code(_canonical_code(code), getattr(error, "message", str(error)))
    return error_from_code(Code.NOT_FOUND if isinstance(error, OSError) else Code.INVALID_ARGUMENT, str(error))


def check_constants(graph_def: Any) -> None:
    """Refuse constants within functions that hold another type than they say.

    TensorFlow checks those of the graph itself when it imports it. Those of functions first meet its optimizer,
    at the first request, which ends the process (`tensor.cc: Check failed: dtype() == expected_dtype`).

    Args:
        graph_def: A `tensorflow.GraphDef`.

    Raises:
        InvalidArgument: The file is damaged.
    """
    for function, node in _function_constants(graph_def):
        stated, held = node.attr["dtype"].type, node.attr["value"].tensor.dtype
        if stated != held:
            raise InvalidArgument(
                f"The SavedModel is damaged: a constant holds another type than it says.\nExpected: DataType {stated}\n"
                f"Received: DataType {held} in node {node.name} of function {function}\nNext: publish the model anew"
            )


def _function_constants(graph_def: Any) -> Iterator[tuple[str, Any]]:
    for function in graph_def.library.function:
        for node in function.node_def:
            if node.op == "Const":
                yield function.signature.name, node


def is_stateless(graph: Any, tensors: Iterable[str]) -> bool:
    """Whether nothing that the tensors need writes state or draws random numbers.

    Args:
        graph: The `tf.Graph` that holds them.
        tensors: Their names, such as `y:0`.
    """
    functions = {function.signature.name: function for function in graph.as_graph_def().library.function}
    pending = [node for operation in _needed_operations(graph, tensors) for node in [operation.node_def]]
    seen: set[str] = set()
    while pending:
        node = pending.pop()
        if _is_stateful(node.op):
            return False
        for name in _called_functions(node):
            if name in functions and name not in seen:
                seen.add(name)
                pending.extend(functions[name].node_def)
    return True


def _needed_operations(graph: Any, tensors: Iterable[str]) -> Iterator[Any]:
    pending = [graph.get_tensor_by_name(name).op for name in tensors]
    seen = set(pending)
    while pending:
        operation = pending.pop()
        yield operation
        inputs = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
        pending.extend(inputs - seen)
        seen |= inputs


def _is_stateful(op: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    return op not in _READ_ONLY_OPS and definition is not None and bool(definition.is_stateful)


def _called_functions(node: Any) -> Iterator[str]:
    """Names of the functions that a node calls; a node may be a function itself."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name
