"""Files of public data sets: downloads missing files with a sha256 check, and reads folders and archives.

The digest is that of the uncompressed content if mirrors compress the same file differently. Archives are read member
by member, without unpacking to the disk.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import lzma
import shutil
import tarfile
import urllib.request
import zipfile
import zlib
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError, unreadable_file
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path


TIMEOUT_S = 30
# No address, no answer, an answer cut short, other bytes.
DOWNLOAD_FAILURES = (OSError, http.client.HTTPException, EOFError, zlib.error, ValueError)
# Damaged, cut short, or encrypted (RuntimeError).
UNPACK_FAILURES = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, RuntimeError)


def content_digest(path: Path) -> str:
    """Returns the sha256 of a gzip file's content."""
    with gzip.open(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def file_digest(path: Path) -> str:
    """Returns the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(path: Path, urls: tuple[str, ...], sha256: str, digest: Callable[[Path], str] = content_digest) -> Path:
    """Returns `path`; if it is missing, downloads it from the first URL with the right content.

    Args:
        path: The file.
        urls: URLs of the same file.
        sha256: The expected result of `digest`.
        digest: `content_digest` or `file_digest`.

    Raises:
        PipelineError: The file does not exist and cannot be downloaded.
    """
    if path.exists():
        return path
    failures = []
    for url in urls:
        try:
            return _download(path, url, sha256, digest)
        except DOWNLOAD_FAILURES as error:
            failures.append(f"{url}: {error}")
    raise PipelineError(
        f"The data file {path.name} does not exist and could not be downloaded.",
        expected=f"{path}, or access to one of its public sources",
        received="; ".join(failures),
        action=f"put the file at {path}, or set KERASPIPE_DATA to the folder that holds {path.parent.name}/",
    )


def _download(path: Path, url: str, sha256: str, digest: Callable[[Path], str]) -> Path:
    # A file with wrong content must never appear under its name: the check is inside the block.
    with fileio.replace_file(path) as temporary:
        with (
            temporary.open("wb") as out,
            urllib.request.urlopen(url, timeout=TIMEOUT_S) as response,  # noqa: S310  (the URLs are ours)
        ):
            shutil.copyfileobj(response, out)
        received = digest(temporary)
        if received != sha256:
            raise ValueError(f"sha256 is {received}, expected {sha256}")
    return path


def read_members(path: Path, suffixes: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yields path inside the archive and content of every file with one of the suffixes.

    Args:
        path: A folder (read in the order of the paths), or a `.tar`, `.tar.gz`, `.tar.xz` or `.zip` file (in its own).
        suffixes: Suffixes in lower case, such as `.png`.

    Raises:
        PipelineError: The archive is damaged, or is not an archive.
    """
    read = _folder_members if path.is_dir() else _zip_members if zipfile.is_zipfile(path) else _tar_members
    endings = tuple(suffixes)
    try:
        yield from read(path, endings)
    except UNPACK_FAILURES as error:
        raise unreadable_file(path, "a folder, or a complete .tar, .tar.gz, .tar.xz or .zip file", error) from error


def list_members(path: Path) -> list[str]:
    """Returns the paths of all files in a folder or archive.

    Raises:
        PipelineError: The archive is damaged, or is not an archive.
    """
    try:
        if path.is_dir():
            return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return [name for name in archive.namelist() if not name.endswith("/")]
        with tarfile.open(path, "r|*") as tar:
            return [member.name for member in tar if member.isfile()]
    except UNPACK_FAILURES as error:
        raise unreadable_file(path, "a folder, or a complete .tar, .tar.gz, .tar.xz or .zip file", error) from error


def _folder_members(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.rglob("*")):
        if file.name.lower().endswith(suffixes) and file.is_file():
            yield file.relative_to(path).as_posix(), file.read_bytes()


def _tar_members(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.lower().endswith(suffixes) else None
            if file:
                yield member.name, file.read()


def _zip_members(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.lower().endswith(suffixes):
                yield name, archive.read(name)
