"""Which bytes a file has: those of a text in some encoding, or those of an archive or a workbook under another name."""

from __future__ import annotations

import codecs
import gzip
import itertools
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

CANDIDATES = ("utf-8", "cp1252", "shift_jis", "gb18030", "latin-1")  # the last one has every byte
WITHOUT_MARK = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
SAMPLE_BYTES, SAMPLE_LINES = 1 << 20, 1000
CHANCE_BYTES = 20  # as many bytes of Chinese are UTF-8 by chance once in a billion files
GZIP = b"\x1f\x8b"
COMPRESSED = (
    (b"BZh", "bzip2 data", "decompress it with bunzip2"),
    (b"\xfd7zXZ\0", "xz data", "decompress it with unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd data", "decompress it with unzstd"),
)
SIGNATURES = (
    (b"PK\x03\x04", "an Excel file or a zip archive", "save the sheet as CSV UTF-8, or unpack the archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file", "save the sheet as CSV UTF-8"),
    (b"PAR1\x15", "a Parquet file", "rename it to .parquet"),
    (b"SQLite format 3\0", "an SQLite database", "export the table as CSV"),
    (b"ARROW1\0\0", "an Arrow or Feather file", "save the table as Parquet"),
    (b"\x89HDF\r\n", "an HDF5 file", "save the table as Parquet or CSV"),
    (b"\x80\x04\x95", "a pickle, which may run any code", "save the table as Parquet or CSV"),
    (b"\x80\x05\x95", "a pickle, which may run any code", "save the table as Parquet or CSV"),
    (b"%PDF-", "a PDF file", "save the table in it as CSV"),
    (b"\x89PNG", "a PNG picture", "name a table, or the folder of the pictures"),
    (b"\xff\xd8\xff", "a JPEG picture", "name a table, or the folder of the pictures"),
)


def open_bytes(path: Path, mode: str = "rb", **options: Any) -> Any:
    """Opens a file, decompressed if its name ends in .gz."""
    return gzip.open(path, mode, **options) if path.suffix.lower() == ".gz" else path.open(mode, **options)


def require_text_bytes(path: Path) -> None:
    """Raises a PipelineError if a file is no text: an archive, a workbook, or compressed under another name."""
    with path.open("rb") as file:
        first = file.read(16)
    packed = path.suffix.lower() == ".gz"
    if packed and first and not first.startswith(GZIP):
        raise _other_content(path, "not gzip data, whatever its name says", "otherwise", f"rename it to {path.stem}")
    if first.startswith(GZIP) and not packed:
        raise _no_text(path, "gzip data", f"rename it to {path.name}.gz, or decompress it with gunzip")
    if packed:
        with open_bytes(path) as file:
            first = file.read(16)
    for mark, what, action in (*COMPRESSED, *SIGNATURES):
        if first.startswith(mark) and (mark != b"BZh" or first[4:10] == b"1AY&SY"):
            raise _no_text(path, what, action)


def _no_text(path: Path, what: str, action: str) -> PipelineError:
    return _other_content(path, f"no text, but {what}", f"as {what}", action)


def _other_content(path: Path, what: str, begins: str, action: str) -> PipelineError:
    return PipelineError(
        f"{path} is {what}.",
        expected="text, plain or compressed by gzip with a name that ends in .gz",
        received=f"a file that begins {begins}",
        action=action,
    )


def restore_bytes(text: str, encoding: str = "") -> bytes:
    """Returns the bytes that a file has for a text.

    Args:
        text: As `pipeline.tables.dialect.open_text` reads it: bytes that the encoding does not know are surrogates.
        encoding: With which it was read; UTF-8 if empty.
    """
    name = codecs.lookup(encoding or "utf-8").name
    try:
        return text.encode(WITHOUT_MARK.get(name, name), "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def guess_encoding(content: bytes, encoding: str = "", *, whole: bool = True) -> str:
    """Returns another encoding that knows all of the bytes.

    Args:
        content: Of a file or of a cell.
        encoding: The one that does not; UTF-8 if empty.
        whole: Whether the bytes end where a character ends.
    """
    known = codecs.lookup(encoding or "utf-8").name
    others = [name for name in CANDIDATES if codecs.lookup(name).name not in (known, WITHOUT_MARK.get(known))]
    return next(name for name in others if name == others[-1] or _can_decode(content, name, whole=whole))


def guess_file_encoding(path: Path, encoding: str = "") -> str:
    """Returns another encoding that knows all bytes of the first megabyte of a file."""
    with open_bytes(path) as file:
        return guess_encoding(file.read(SAMPLE_BYTES), encoding, whole=False)


def fits_better(path: Path, encoding: str) -> bool:
    """Returns whether an encoding fits a file better than UTF-8.

    It does if most of the lines with other letters than ASCII's are no UTF-8, and all of these are in the encoding. One
    such line among those of UTF-8 is a fault of that line.
    """
    with suppress(OSError, EOFError, zlib.error), open_bytes(path) as file:  # a damaged file is named by its readers
        lines = list(itertools.islice((line for line in file if not line.isascii()), SAMPLE_LINES))
        broken = [line for line in lines if not _can_decode(line, "utf-8", whole=True)]
        return 2 * len(broken) > len(lines) and all(_can_decode(line, encoding, whole=True) for line in broken)
    return False


def require_no_utf8(path: Path, named: str) -> None:
    """Raises a UsageError if another encoding is named for a file that is UTF-8: its letters would become others.

    Letters of another encoding are hardly ever UTF-8 by chance: one of Europe's, or some of those that take two bytes.
    """
    if not named or codecs.lookup(named).name.startswith(("utf", "ascii")):
        return
    with open_bytes(path) as file:
        content = file.read(SAMPLE_BYTES)
    if content.isascii() or not _can_decode(content, "utf-8", whole=False):
        return
    one_byte_each = len(bytes(range(256)).decode(named, "replace")) == 256  # noqa: PLR2004
    if not one_byte_each and sum(byte >= 0x80 for byte in content) < CHANCE_BYTES:  # noqa: PLR2004  (not ASCII)
        return
    word = next(word for word in content.split() if not word.isascii())[:40]
    wrong, right = (word.decode(name, "replace") for name in (named, "utf-8"))
    raise UsageError(
        f"{path} is UTF-8, not {named}.",
        expected="the encoding of the file",
        received=f"{wrong!r} by {named}, {right!r} by UTF-8",
        action="leave out --encoding (in a recipe encoding=…)",
    )


def _can_decode(content: bytes, encoding: str, *, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(content, final=whole)
    except UnicodeDecodeError:
        return False
    return True
