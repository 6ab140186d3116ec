"""Constants that TensorFlow does not check before it aborts the process over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator


def check(graph_def: Any) -> None:
    """Refuse constants within functions that hold another type than they say.

    TensorFlow checks those of the graph itself when it imports it. Those of functions first meet its optimizer,
    at the first request, which ends the process (`tensor.cc: Check failed: dtype() == expected_dtype`).

    Args:
        graph_def: A `tensorflow.GraphDef`.

    Raises:
        InvalidArgument: The file is damaged.
    """
    for function, node in _constants(graph_def):
        stated, held = node.attr["dtype"].type, node.attr["value"].tensor.dtype
        if stated != held:
            raise InvalidArgument(
                f"The SavedModel is damaged: a constant holds another type than it says.\nExpected: DataType {stated}\n"
                f"Received: DataType {held} in node {node.name} of function {function}\nNext: publish the model anew"
            )


def _constants(graph_def: Any) -> Iterator[tuple[str, Any]]:
    for function in graph_def.library.function:
        for node in function.node_def:
            if node.op == "Const":
                yield function.signature.name, node
