"""Decoders of images and recordings in a SavedModel, read from its bytes: no TensorFlow is imported.

TensorFlow's decoders know formats that end the process (github.com/tensorflow/tensorflow/issues/126353), and make room
for whatever a few bytes announce. Recipes check the bytes before, in the graph (`pipeline/features/image_header.py`);
versions of older recipes, and other models, do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_OPS = (
    b"DecodeAndCropJpeg", b"DecodeBmp", b"DecodeGif", b"DecodeImage", b"DecodeJpeg", b"DecodePng", b"DecodeWav",
    b"DecodeWebP",
)  # fmt: skip
_CHECKED = b"checked_decode"  # how recipes name a decoder behind their check


_LOOPS = (b"\x12\x05While", b"\x12\x0eStatelessWhile")


def find_loops(folder: Path) -> bool:
    """Whether a version repeats operations, as often as its inputs may say."""
    content = _read_graph(folder)
    return any(loop in content for loop in _LOOPS)


def find_decoders(folder: Path) -> set[str]:
    """Names of the operations of a version that decode images or recordings; empty where it cannot be read."""
    return {op for op, _ in _decoder_nodes(folder)}


def find_unchecked_decoders(folder: Path) -> set[str]:
    """As `find_decoders`, of those that see bytes which nothing has checked."""
    return {op for op, name in _decoder_nodes(folder) if _CHECKED not in name}


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
