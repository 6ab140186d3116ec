"""Files and folders that appear complete or not at all: write beside, fsync, rename."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def file(path: Path) -> Iterator[Path]:
    """Yields a path to write to; the content replaces `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield beside
        sync(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync(path.parent)


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yields a folder to fill; it becomes `path`, which must not exist, when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    beside.mkdir()
    try:
        yield beside
        for inside in [*beside.rglob("*"), beside]:
            sync(inside)
        beside.rename(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Replaces a JSON file."""
    with file(path) as beside:
        beside.write_text(json.dumps(value, indent=1, default=float) + "\n")


def read_json(path: Path, default: Any = None) -> Any:
    """The content of a JSON file, or `default` where there is none."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return default


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
