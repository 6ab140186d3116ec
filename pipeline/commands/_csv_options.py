"""Options that say how a CSV file is written, of the commands that read one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.tables.dialect import Dialect

NO_HEADER = ("0", "no", "none")
NAMES = {"tab": "\t", "blank": " ", "space": " ", "apostrophe": "'"}  # of what a shell makes hard to type


def arguments(parser: ArgumentParser) -> None:
    """Options of a CSV file."""
    group = parser.add_argument_group("a CSV file (default: found in the file where that is safe)")
    group.add_argument("--encoding", default="", metavar="NAME", help="such as cp1252, latin-1, utf-16, shift_jis")
    group.add_argument("--delimiter", default="", metavar="CHARACTER", help="between the cells; or tab, blank")
    group.add_argument("--decimal", default="", metavar="CHARACTER", help="what begins the decimals: . or ,")
    group.add_argument("--thousands", default="", metavar="CHARACTER", help="what groups digits: , . ' or blank")
    group.add_argument("--header", default="", metavar="LINE", help="line of the header; no for a file without one")


def read_dialect(options: Namespace) -> Dialect:
    """Returns what the options say.

    Raises:
        UsageError: A value is not possible.
    """
    from pipeline.tables.dialect import Dialect

    delimiter, thousands, decimal = (
        NAMES.get(value, value) for value in (options.delimiter, options.thousands, options.decimal)
    )
    if len(delimiter) > 1:
        raise UsageError(
            "The cells of a CSV file are separated by one character.",
            expected="--delimiter with one character, tab or blank",
            received=delimiter,
            action="correct --delimiter",
        )
    return Dialect(delimiter, options.encoding, decimal, thousands, _header_line(options.header))


def _header_line(text: str) -> int | None:
    if not text:
        return None
    if text in NO_HEADER:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise UsageError(
            "--header is the line of the column names.",
            expected="a number from 1, or no for a file without them",
            received=text,
            action="correct --header",
        )
    return int(text)
