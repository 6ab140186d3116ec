"""Files of a folder or of an archive, one after the other, without unpacking anything."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

from pipeline.errors import unreadable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

# Damaged, cut short, or encrypted (RuntimeError).
FAILURES = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, RuntimeError)


def members(path: Path, suffixes: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Path inside and content of every file with one of the endings.

    Args:
        path: A folder (read in the order of the paths), or a `.tar`, `.tar.gz`, `.tar.xz` or `.zip` file (in its own).
        suffixes: Endings in lower case, such as `.png`.

    Raises:
        PipelineError: The archive is damaged, or none.
    """
    read = _folder if path.is_dir() else _zip if zipfile.is_zipfile(path) else _tar
    wanted = tuple(suffixes)
    try:
        yield from read(path, wanted)
    except FAILURES as error:
        raise unreadable(path, "a folder, or a complete .tar, .tar.gz, .tar.xz or .zip file", error) from error


def _folder(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.rglob("*")):
        if file.name.lower().endswith(suffixes) and file.is_file():
            yield file.relative_to(path).as_posix(), file.read_bytes()


def _tar(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.lower().endswith(suffixes) else None
            if file:
                yield member.name, file.read()


def _zip(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.lower().endswith(suffixes):
                yield name, archive.read(name)
