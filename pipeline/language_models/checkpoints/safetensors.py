"""Safetensors: arrays in a file that holds nothing else, least of all code.

A file is the length of a header as uint64, the header as JSON with type, shape and place of each array, then the
arrays, little-endian. Source: https://github.com/huggingface/safetensors, "Format".

Large networks come in several such files, and an index of JSON that says which array is in which.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import PipelineError, unreadable_file
from pipeline.language_models.checkpoints.checkpoint import missing_file, other_form, read_json

if TYPE_CHECKING:
    from pathlib import Path

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
EXPECTED = "a header in JSON and little-endian arrays"
LARGEST_HEADER = 64 * 2**20  # bytes
MOST_AXES = 8
TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")  # PyTorch's own files; reading one can run any code


@dataclass(frozen=True)
class Entry:
    """An array of a file: its type, its shape, its first byte and the one behind its last."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class SafetensorsFile:
    """An open file.

    Attributes:
        path: The file.
        entries: Its arrays by name.
        content: Its bytes.
    """

    path: Path
    entries: dict[str, Entry]
    content: mmap.mmap

    def read_array(self, name: str) -> np.ndarray:
        """Returns an array as float32.

        Raises:
            KeyError: The file has no such array.
            PipelineError: Its numbers are of another type.
        """
        entry = self.entries[name]
        if entry.kind not in TYPES:
            raise other_form(self.path, f"{name} of the type {', '.join(TYPES)}", entry.kind)
        raw = np.frombuffer(self.content, TYPES[entry.kind], math.prod(entry.shape), entry.begin)
        values = (raw.astype(np.uint32) << 16).view(np.float32) if entry.kind == "BF16" else raw.astype(np.float32)
        return values.reshape(entry.shape)


def open_safetensors(path: Path) -> SafetensorsFile:
    """Opens a file and reads its header.

    Raises:
        PipelineError: The file is damaged or of another format.
    """
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return SafetensorsFile(path, _read_header(content), content)
    except (OSError, struct.error, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise unreadable_file(path, EXPECTED, error) from error


def _read_header(content: mmap.mmap) -> dict[str, Entry]:
    (size,) = struct.unpack_from("<Q", content)
    if size > min(LARGEST_HEADER, len(content) - 8):
        raise ValueError(f"a header of {size:,} bytes in a file of {len(content):,}")
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__", None)
    return {name: _read_entry(name, each, 8 + size, len(content)) for name, each in header.items()}


def _read_entry(name: str, stated: dict[str, Any], start: int, size: int) -> Entry:
    kind, shape, (begin, end) = str(stated["dtype"]), tuple(stated["shape"]), stated["data_offsets"]
    numbers = [*shape, begin, end]
    if len(shape) > MOST_AXES or not all(type(each) is int and each >= 0 for each in numbers):
        raise ValueError(f"{name} has the shape {shape} and is from {begin} to {end}")
    width = np.dtype(TYPES[kind]).itemsize if kind in TYPES else 0
    if start + end > size or begin > end or (width and math.prod(shape) * width != end - begin):
        raise ValueError(f"{name} {shape} of {kind} is from byte {begin:,} to {end:,} of {size - start:,}")
    return Entry(kind, shape, start + begin, start + end)


def open_folder(folder: Path) -> dict[str, SafetensorsFile]:
    """Returns the file of each array of a network by its name.

    Raises:
        PipelineError: A file is missing or damaged.
    """
    if (folder / INDEX).is_file():
        return _open_shards(folder)
    if not (folder / WHOLE).is_file():
        raise _missing_weights(folder)
    file = open_safetensors(folder / WHOLE)
    return dict.fromkeys(file.entries, file)


def _open_shards(folder: Path) -> dict[str, SafetensorsFile]:
    places = read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(_is_name(name) for name in places.values()):
        raise unreadable_file(folder / INDEX, "a weight_map with the file of each array", TypeError(repr(places)[:80]))
    files = {}
    for name in sorted(set(places.values())):
        if not (folder / name).is_file():
            raise missing_file(folder / name, [name])
        files[name] = open_safetensors(folder / name)
    return {array: files[name] for array, name in places.items() if array in files[name].entries}


def _is_name(name: Any) -> bool:
    """Returns whether a text names a file of the folder itself, and of no other one."""
    return isinstance(name, str) and name.endswith(".safetensors") and not {"/", "\\"} & set(name)


def _missing_weights(folder: Path) -> PipelineError:
    pickled = sorted(file.name for ending in PICKLED for file in folder.glob(ending))
    if not pickled:
        return missing_file(folder / WHOLE, [WHOLE, INDEX])
    return PipelineError(
        f"{folder} holds weights in files that can run code when they are read.",
        expected=f"{WHOLE}, or {INDEX} and its files",
        received=", ".join(pickled[:4]),
        action="convert them to safetensors, for instance with save_pretrained() of the package transformers",
    )
