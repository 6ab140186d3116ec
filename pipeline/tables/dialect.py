"""How a file of separated values is written: encoding, delimiter, header, and the form of its numbers."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass, fields
from typing import IO, TYPE_CHECKING, Any, cast

from pipeline.errors import PipelineError, UsageError
from pipeline.tables import encodings
from pipeline.tables.escapes import double_quotes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

BLANKS = " "  # the delimiter of columns that any number of blanks and tabs separate
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the same bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SPACES = " \u00a0\u202f"
FIRST_BYTES = 4096
MARK, NUL = "\ufeff", "\0"  # the byte order mark as a character


@dataclass(frozen=True)
class Dialect:
    """How a file of separated values is written; what is empty is found in the file (`pipeline.tables.sniff`).

    Attributes:
        delimiter: Separator of the cells; " " for any number of blanks and tabs.
        encoding: As Python names it: "cp1252", "latin-1", "utf-16".
        decimal: "." or ",".
        thousands: What groups digits: ",", ".", " " or "'".
        header: Line of the header; 0 for none, then the columns are called column_1, column_2 and so on.
        escaped: Whether a backslash precedes quotes within quotes; found in the file, never named.
    """

    delimiter: str = ""
    encoding: str = ""
    decimal: str = ""
    thousands: str = ""
    header: int | None = None
    escaped: bool = False

    def __post_init__(self) -> None:
        _require_encoding(self.encoding)
        _require_one("decimal", self.decimal, (".", ","))
        _require_one("thousands", self.thousands, (",", ".", " ", "'"))
        if self.decimal and self.decimal == self.thousands:
            raise UsageError(
                "One character cannot both group the digits and begin the decimals.",
                expected="two different characters for decimal and thousands",
                received=repr(self.decimal),
                action="correct one of them",
            )
        if self.header is not None and self.header < 0:
            raise UsageError(
                "There is no such line for a header.",
                expected="a line's number, from 1; 0 for a file without a header",
                received=str(self.header),
                action="correct header",
            )

    @property
    def named_encoding(self) -> str:
        """The encoding for messages; empty for UTF-8, as where none is said."""
        return "" if self.encoding.startswith("utf-8") else self.encoding

    def options(self) -> dict[str, Any]:
        """What can be said of the file, by name."""
        names = [item.name for item in fields(self) if item.name != "escaped"]
        return {name: value for name in names if (value := getattr(self, name)) not in ("", None)}


def _require_encoding(name: str) -> None:
    try:
        text = not name or codecs.lookup(name)._is_text_encoding  # noqa: SLF001  (Python has no public way to ask)
    except LookupError:
        text = False
    if not text:
        raise UsageError(
            f"There is no encoding {name!r}.",
            expected="utf-8, utf-16, cp1252, latin-1, or another of Python's encodings",
            received=name,
            action="correct encoding",
        )


def _require_one(what: str, value: str, possible: tuple[str, ...]) -> None:
    if value and value not in possible:
        raise UsageError(
            f"A number cannot be written with this {what}.",
            expected=" or ".join(map(repr, possible)),
            received=repr(value),
            action=f"correct {what}",
        )


def open_text(path: Path, encoding: str = "") -> IO[str]:
    """Opens a text file, decompressed if its name ends in .gz.

    Bytes that the encoding does not know become surrogates.

    Args:
        path: The file.
        encoding: If empty, that of the byte order mark, or UTF-8.

    Raises:
        PipelineError: It is no text, but an archive or a workbook.
    """
    encodings.require_text_bytes(path)
    options = {"encoding": encoding or find_encoding(path), "errors": "surrogateescape", "newline": ""}
    return cast("IO[str]", encodings.open_bytes(path, "rt", **options))


def find_encoding(path: Path) -> str:
    """Returns the encoding that a byte order mark says, UTF-16 where every other byte is zero, else UTF-8."""
    with encodings.open_bytes(path) as file:
        first = file.read(FIRST_BYTES)
    for mark, encoding in MARKS:
        if first.startswith(mark):
            return encoding
    if first[1:2] == b"\0" and first[:1] != b"\0":
        return "utf-16-le"
    return "utf-16-be" if first[:1] == b"\0" and first[1:2] not in (b"\0", b"") else "utf-8"


def is_broken(text: str) -> bool:
    """Whether a text has bytes that the file's encoding does not know."""
    return any("\udc80" <= character <= "\udcff" for character in text)


def broken_words(text: str, encoding: str = "", guess: str = "") -> str:
    """Shows the bytes of such a text, and what they may mean.

    Args:
        text: As it was read.
        encoding: That was named for the file; empty if none was.
        guess: Another one that may be right; found in the text if empty.
    """
    content = encodings.restore_bytes(text, encoding)
    guess = guess or encodings.guess_encoding(content, encoding)
    other = content.decode(guess, "replace")
    name = encoding or "the file's encoding"
    return f"not in {name}, {str(content[:40])[1:]}; in {guess} it is {other[:40]!r}"


def require_text(path: Path, line: int, text: str, encoding: str = "") -> None:
    """Raises a PipelineError if a text has bytes that the encoding does not know.

    Args:
        path: The file.
        line: Where the text is.
        text: As it was read.
        encoding: That was named for the file; empty if none was.
    """
    if is_broken(text):
        guess = encodings.guess_file_encoding(path, encoding)
        others = [name for name in ("cp1252", "latin-1", "shift_jis") if name not in (guess, encoding)]
        raise PipelineError(
            f"{path} line {line} is not {encoding or 'UTF-8'}.",
            expected="UTF-8, UTF-16 with a byte order mark, or another encoding that is named",
            received=broken_words(text, encoding, guess),
            action=f"name the encoding: --encoding {guess} (in a recipe encoding={guess!r}), {', '.join(others)} …",
        )


def parse_lines(lines: Iterable[str], delimiter: str, *, escaped: bool = False) -> Iterator[tuple[int, list[str], str]]:
    """Yields line number, stripped cells and fault of each row; the reader continues after one that it cannot read."""
    lines = double_quotes(lines) if escaped else lines
    if delimiter == BLANKS:
        lines = (re.sub(r"[ \t]+", BLANKS, line.strip()) for line in lines)
    taken: list[str] = []
    reader = csv.reader(_keep(lines, taken), delimiter=delimiter)
    while True:
        taken.clear()
        try:
            cells = [cell.strip() for cell in next(reader)]
            yield reader.line_num, cells, _find_fault(taken, delimiter, reader.line_num)
        except csv.Error as error:
            yield reader.line_num, [], str(error)
        except StopIteration:
            return


def _keep(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        kept = line.lstrip(MARK) if line[:1] == MARK else line  # of a file that was appended to another one
        taken.append(kept)
        yield kept


def _find_fault(taken: list[str], delimiter: str, last: int) -> str:
    """Returns what is wrong with the lines of a row, the last of which has this number."""
    if any(NUL in line for line in taken):
        return "a NUL character, which no text has"
    return _open_quote(taken, delimiter, last)


def _open_quote(taken: list[str], delimiter: str, last: int) -> str:
    """Returns the fault of a row of many lines that ends with the file, and not with its quote; else nothing."""
    if len(taken) < 2:  # noqa: PLR2004
        return ""
    try:
        next(csv.reader(taken, delimiter=delimiter, strict=True))
    except csv.Error as error:
        if str(error) == "unexpected end of data":
            return f"a quote is not closed: the lines {last - len(taken) + 1} to {last} are one row"
    return ""


NUMBER = {
    # By what groups the digits: with groups, or none.
    "": re.compile(r"[-+]?\d*", re.ASCII),
    ",": re.compile(r"[-+]?\d{1,3}(,\d{3})+|[-+]?\d*", re.ASCII),
    ".": re.compile(r"[-+]?\d{1,3}(\.\d{3})+|[-+]?\d*", re.ASCII),
    "'": re.compile(r"[-+]?\d{1,3}(['\u2019]\d{3})+|[-+]?\d*", re.ASCII),
    " ": re.compile(rf"[-+]?\d{{1,3}}([{SPACES}]\d{{3}})+|[-+]?\d*", re.ASCII),
}
GROUPS = str.maketrans("", "", f",.'\u2019{SPACES}")
DECIMALS = re.compile(r"\d*([eE][-+]?\d+)?", re.ASCII)


def split_number(text: str, decimal: str = "", thousands: str = "") -> tuple[str, str, str] | None:
    """Returns a number's whole part, the mark of its decimals, and these; None for a text of another form.

    Args:
        text: The cell.
        decimal: What begins the decimals; if empty "." or, where dots group digits, ",".
        thousands: What groups digits, if anything.
    """
    whole, mark, rest = text.strip().partition(decimal or ("," if thousands == "." else "."))
    return (whole, mark, rest) if NUMBER[thousands].fullmatch(whole) and DECIMALS.fullmatch(rest) else None


def plain_number(text: str, decimal: str = "", thousands: str = "") -> str:
    """Returns a number as Python reads it: 1.234,5 as 1234.5; a text of another form unchanged.

    A number in plain form stays what it is, unless it is also one with groups: 1.234 where dots group digits.

    Args: as of `split_number`.
    """
    if not thousands and decimal != ",":
        return text
    parts = split_number(text, decimal, thousands)
    return parts[0].translate(GROUPS) + ("." if parts[1] else "") + parts[2] if parts else text
