"""What a model's graph is made of: decoders and loops, constants that are sound, operations without a state, strings.

Decoders and loops are found in the SavedModel's bytes; no TensorFlow is imported for them. TensorFlow's decoders know
formats that end the process (github.com/tensorflow/tensorflow/issues/126353), and make room for whatever a few bytes
announce. Recipes check the bytes before, in the graph (`pipeline/features/image_header.py`); versions of older recipes,
and other models, do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from serving.errors import InvalidArgument
from serving.wire import protos
from serving.wire.proto_fields import list_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_OPS = (
    b"DecodeAndCropJpeg", b"DecodeBmp", b"DecodeGif", b"DecodeImage", b"DecodeJpeg", b"DecodePng", b"DecodeWav",
    b"DecodeWebP",
)  # fmt: skip
_CHECKED = b"checked_decode"  # how recipes name a decoder behind their check
_LOOPS = (b"\x12\x05While", b"\x12\x0eStatelessWhile")
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


def find_loops(folder: Path) -> bool:
    """Whether a version repeats operations, as often as its inputs may say."""
    content = _read_graph(folder)
    return any(loop in content for loop in _LOOPS)


def find_decoders(folder: Path) -> set[str]:
    """Names of the operations of a version that decode images or recordings; empty where it cannot be read."""
    return {op for op, _ in _decoder_nodes(folder)}


def find_unchecked_decoders(folder: Path) -> set[str]:
    """As `find_decoders`, of those that see bytes which nothing has checked, and that a request can reach."""
    unchecked = {op for op, name in _decoder_nodes(folder) if _CHECKED not in name}
    return unchecked and _keep_reached(unchecked, _read_graph(folder))


def _keep_reached(ops: set[str], content: bytes) -> set[str]:
    """Those of the operations that are unchecked in a graph or in a function that it calls; all if it cannot be read.

    A version of a recipe with pictures as targets also has Transform's whole graph, which decodes them. None of its
    signatures calls that, so nobody can ask for it.
    """
    try:
        nodes = [node for graph in _parse_graphs(content) for node in _list_called(graph.node, graph)]
    except (ValueError, DecodeError):
        return ops
    return ops & {node.op for node in nodes if _CHECKED.decode() not in node.name}


def _parse_graphs(content: bytes) -> list[Any]:
    """The `GraphDef` of each MetaGraphDef: field 2 of a SavedModel (tensorflow/core/protobuf/saved_model.proto)."""
    protos.load("apis.get_model_metadata_pb2")  # and with it the MetaGraphDef, without TensorFlow
    descriptor = descriptor_pool.Default().FindMessageTypeByName("tensorflow.MetaGraphDef")
    parse = message_factory.GetMessageClass(descriptor).FromString
    fields = [field for field in list_fields(content) if field.number == 2]  # noqa: PLR2004
    return [parse(content[field.content : field.end]).graph_def for field in fields]


def _decoder_nodes(folder: Path) -> list[tuple[str, bytes]]:
    """Operation and name of each decoder: fields 2 and 1 of a NodeDef (tensorflow/core/framework/node_def.proto)."""
    content, nodes = _read_graph(folder), []
    for op in _OPS:
        field = b"\x12" + bytes([len(op)]) + op
        at = content.find(field)
        while at >= 0:
            nodes.append((op.decode(), _name_before(content, at)))
            at = content.find(field, at + 1)
    return nodes


def _read_graph(folder: Path) -> bytes:
    try:
        return (folder / "saved_model.pb").read_bytes()
    except OSError:
        return b""


def _name_before(content: bytes, at: int) -> bytes:
    """The printable bytes before a place: the node's name, and maybe its length."""
    start = at
    while start and 0x20 <= content[start - 1] < 0x7F:  # noqa: PLR2004 - printable ASCII
        start -= 1
    return content[start:at]


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
    nodes = [operation.node_def for operation in _needed_operations(graph, tensors)]
    return not any(_is_stateful(node.op) for node in _list_called(nodes, graph.as_graph_def()))


def _list_called(nodes: Iterable[Any], graph_def: Any) -> Iterator[Any]:
    """Nodes, and those of the functions that they call."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        for name in _called_functions(node):
            if name in functions:
                pending.extend(functions.pop(name).node_def)  # each once


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


class StringOps:
    """Operations that a graph is given, to read its strings from a `TensorProto`, and to write them as `Strings`.

    Args:
        graph: The `tf.Graph`.
        signatures: `tensorflow.SignatureDef`s, whose inputs and outputs are meant.

    Attributes:
        readers: By the name of an input, those of a scalar that takes a `TensorProto`, and of the strings in it.
        writers: By the name of an output, those of the sizes of its strings, and of all of them as one.
    """

    def __init__(self, graph: Any, signatures: Iterable[Any]) -> None:
        import tensorflow as tf

        signatures = list(signatures)
        inputs, outputs = (
            {info.name for each in signatures for info in getattr(each, side).values() if _is_string(graph, info)}
            for side in ("inputs", "outputs")
        )
        with graph.as_default(), tf.device("/cpu:0"), tf.name_scope("strings"):
            self.readers = {name: _add_reader(tf) for name in sorted(inputs)}
            self.writers = {name: _add_writer(tf, graph.get_tensor_by_name(name)) for name in sorted(outputs)}


def _is_string(graph: Any, info: Any) -> bool:
    """Whether it is a string, in the graph too: a signature may name what is not there."""
    from tensorflow import string

    if info.dtype != string.as_datatype_enum:
        return False
    try:
        return bool(graph.get_tensor_by_name(info.name).dtype == string)
    except (KeyError, ValueError, TypeError):
        return False


def _add_reader(tf: Any) -> tuple[str, str]:
    message = tf.compat.v1.placeholder(tf.string, [], name="message")
    return message.name, tf.io.parse_tensor(message, tf.string).name


def _add_writer(tf: Any, strings: Any) -> tuple[str, str]:
    return tf.strings.length(strings).name, tf.strings.reduce_join(tf.reshape(strings, [-1])).name
