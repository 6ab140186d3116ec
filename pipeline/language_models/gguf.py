"""GGUF: a language model in one file, as llama.cpp reads it: metadata, vocabulary, and quantised arrays.

A file is a magic number, a version, counts, key/value pairs, then name, shape, type and place of each array, and the
arrays. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the blocks of quantised numbers are those of
ggml-common.h (`block_q4_0`, `block_q4_1`, `block_q8_0`) there.

The package gguf reads them, too, but trusts a file's counts: one with 2**60 entries in a list never ends. Nothing here
reads or allocates more than the file has bytes.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import PipelineError, unreadable_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAGIC, VERSIONS = b"GGUF", (2, 3)
ALIGNMENT = 32  # bytes, unless general.alignment says another
MOST_AXES, DEEPEST_LIST = 4, 4
NUMBERS = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, LIST = 8, 9
FEWEST_BYTES = {STRING: 8, LIST: 12, **{kind: struct.calcsize(code) for kind, code in NUMBERS.items()}}
BLOCK = 32  # numbers that share a scale


@dataclass(frozen=True)
class Encoding:
    """How numbers lie in the file.

    Attributes:
        numbers: Numbers of a block.
        bytes: Bytes of a block.
        decode: Blocks (blocks, bytes) of uint8 -> float32 (blocks, numbers).
    """

    numbers: int
    bytes: int
    decode: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Entry:
    """An array of the file: its shape as NumPy counts (last axis fastest), its encoding, its first byte."""

    shape: tuple[int, ...]
    encoding: Encoding
    start: int

    @property
    def bytes(self) -> int:
        """Its size in the file."""
        return math.prod(self.shape) // self.encoding.numbers * self.encoding.bytes


@dataclass(frozen=True)
class GgufFile:
    """An open file.

    Attributes:
        metadata: Values by key, such as "llama.block_count" or "tokenizer.ggml.tokens".
        entries: Its arrays by name, such as "blk.0.attn_q.weight".
    """

    metadata: dict[str, Any]
    entries: dict[str, Entry]
    content: mmap.mmap

    def read_array(self, name: str) -> np.ndarray:
        """Returns an array as float32.

        Raises:
            KeyError: The file has no such array.
        """
        entry = self.entries[name]
        raw = np.frombuffer(self.content, np.uint8, entry.bytes, entry.start)
        return entry.encoding.decode(raw.reshape(-1, entry.encoding.bytes)).reshape(entry.shape)


def open_gguf(path: Path) -> GgufFile:
    """Opens a file and reads all but its arrays.

    Raises:
        PipelineError: It is damaged, of another format, or quantised in a way that is not read here.
    """
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _read_header(content)
    except PipelineError:
        raise
    except (OSError, struct.error, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise unreadable_file(path, "a file in the format GGUF, version 2 or 3", error) from error


def _read_header(content: mmap.mmap) -> GgufFile:
    cursor = _Cursor(content)
    if cursor.take(len(MAGIC)) != MAGIC:
        raise ValueError("it does not begin with GGUF")
    version, arrays, pairs = cursor.number("<I"), cursor.number("<Q"), cursor.number("<Q")
    if version not in VERSIONS:
        raise ValueError(f"version {version}")
    metadata = {cursor.text(): cursor.value(cursor.number("<I")) for _ in range(cursor.count(pairs, 13))}
    entries = [_read_entry(cursor) for _ in range(cursor.count(arrays, 24))]
    alignment = metadata.get("general.alignment", ALIGNMENT)
    begin = -(-cursor.at // alignment) * alignment
    placed = {name: Entry(shape, encoding, begin + start) for name, shape, encoding, start in entries}
    for name, entry in placed.items():
        if entry.start + entry.bytes > len(content):
            raise ValueError(f"{name} ends after byte {entry.start + entry.bytes:,} of {len(content):,}")
    return GgufFile(metadata, placed, content)


def _read_entry(cursor: _Cursor) -> tuple[str, tuple[int, ...], Encoding, int]:
    name, axes = cursor.text(), cursor.number("<I")
    if not 1 <= axes <= MOST_AXES:
        raise ValueError(f"{name} has {axes} axes")
    shape = tuple(cursor.number("<Q") for _ in range(axes))[::-1]
    kind, start = cursor.number("<I"), cursor.number("<Q")
    if kind not in ENCODINGS:
        known = "F32, F16, BF16, Q4_0, Q4_1, Q8_0"
        raise PipelineError(
            f"The array {name} of the GGUF file is quantised in a way that is not read here.",
            expected=f"one of {known}",
            received=f"type {kind} of ggml",
            action="quantise the model to one of these, for instance with llama-quantize",
        )
    encoding = ENCODINGS[kind]
    if shape[-1] % encoding.numbers:
        raise ValueError(f"{name} has rows of {shape[-1]} numbers in blocks of {encoding.numbers}")
    return name, shape, encoding, start


class _Cursor:
    """Reads one value after the other, never beyond the end."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.at = content, 0

    def take(self, size: int) -> bytes:
        """Returns the next bytes."""
        if size > len(self.content) - self.at:
            raise ValueError(f"{size:,} bytes at byte {self.at:,} of {len(self.content):,}")
        self.at += size
        return self.content[self.at - size : self.at]

    def number(self, code: str) -> Any:
        """Returns a number of struct's code."""
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def count(self, entries: int, bytes_each: int) -> int:
        """Returns a number of entries for which the file has room."""
        if entries * bytes_each > len(self.content) - self.at:
            raise ValueError(f"{entries:,} entries at byte {self.at:,} of {len(self.content):,}")
        return entries

    def text(self) -> str:
        """Returns a text with its length before it."""
        return self.take(self.number("<Q")).decode("utf-8", errors="replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        """Returns a value of a type of GGUF: a number, a text or a list."""
        if kind == STRING:
            return self.text()
        if kind != LIST:
            return self.number(NUMBERS[kind])
        if depth == DEEPEST_LIST:
            raise ValueError("lists in lists in lists")
        inner, entries = self.number("<I"), self.number("<Q")
        self.count(entries, FEWEST_BYTES[inner])
        if inner in NUMBERS:
            return list(struct.unpack(f"<{entries}{NUMBERS[inner][-1]}", self.take(entries * FEWEST_BYTES[inner])))
        return [self.value(inner, depth + 1) for _ in range(entries)]


def _halves(blocks: np.ndarray, at: int) -> np.ndarray:
    """Returns the float16 at a byte of each block, (blocks, 1) of float32."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view("<f2").astype(np.float32)


def _nibbles(blocks: np.ndarray) -> np.ndarray:
    """Returns 32 numbers from 0 to 15 of 16 bytes: the lower halves of all bytes, then the upper ones."""
    return np.concatenate([blocks & 0x0F, blocks >> 4], axis=1).astype(np.float32)


def _decode_q4_0(blocks: np.ndarray) -> np.ndarray:
    return (_nibbles(blocks[:, 2:]) - 8) * _halves(blocks, 0)


def _decode_q4_1(blocks: np.ndarray) -> np.ndarray:
    return _nibbles(blocks[:, 4:]) * _halves(blocks, 0) + _halves(blocks, 2)


def _decode_q8_0(blocks: np.ndarray) -> np.ndarray:
    return blocks[:, 2:].view(np.int8).astype(np.float32) * _halves(blocks, 0)


def _decode_bfloat16(blocks: np.ndarray) -> np.ndarray:
    return (np.ascontiguousarray(blocks).view("<u2").astype(np.uint32) << 16).view(np.float32)


ENCODINGS = {  # by the number of ggml's type
    0: Encoding(1, 4, lambda blocks: np.ascontiguousarray(blocks).view("<f4")),
    1: Encoding(1, 2, lambda blocks: _halves(blocks, 0)),
    2: Encoding(BLOCK, 18, _decode_q4_0),
    3: Encoding(BLOCK, 20, _decode_q4_1),
    8: Encoding(BLOCK, 34, _decode_q8_0),
    30: Encoding(1, 2, _decode_bfloat16),
}
