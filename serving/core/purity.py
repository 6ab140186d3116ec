"""Whether a graph only reads: then it may be run once more without anybody noticing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# TensorFlow counts these as stateful, yet they change nothing and draw no random numbers.
_READERS = frozenset(
    {
        "AnonymousHashTable", "Assert", "Case", "HashTable", "HashTableV2", "If", "LookupTableFind",
        "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2", "PartitionedCall", "Placeholder", "ReadVariableOp",
        "ResourceGather", "ResourceGatherNd", "StatefulPartitionedCall", "StatelessCase", "StatelessIf",
        "StatelessWhile", "TensorArrayCloseV3", "TensorArrayConcatV3", "TensorArrayGatherV3", "TensorArrayReadV3",
        "TensorArrayScatterV3", "TensorArraySizeV3", "TensorArrayV3", "TensorArrayWriteV3", "VarHandleOp",
        "VarIsInitializedOp", "Variable", "VariableV2", "While",
    }
)  # fmt: skip


def reads_only(graph: Any, tensors: Iterable[str]) -> bool:
    """Whether nothing that the tensors need writes state or draws random numbers.

    Args:
        graph: The `tf.Graph` that holds them.
        tensors: Their names, such as `y:0`.
    """
    functions = {function.signature.name: function for function in graph.as_graph_def().library.function}
    pending = [node for operation in _needed(graph, tensors) for node in [operation.node_def]]
    seen: set[str] = set()
    while pending:
        node = pending.pop()
        if _writes(node.op):
            return False
        for name in _called(node):
            if name in functions and name not in seen:
                seen.add(name)
                pending.extend(functions[name].node_def)
    return True


def _needed(graph: Any, tensors: Iterable[str]) -> Iterator[Any]:
    pending = [graph.get_tensor_by_name(name).op for name in tensors]
    seen = set(pending)
    while pending:
        operation = pending.pop()
        yield operation
        inputs = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
        pending.extend(inputs - seen)
        seen |= inputs


def _writes(op: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    return op not in _READERS and definition is not None and bool(definition.is_stateful)


def _called(node: Any) -> Iterator[str]:
    """Names of the functions that a node calls; a node may be a function itself."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name
