"""JSON lines: one object per line, plain or compressed by gzip."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import unreadable_file
from pipeline.formats import table
from pipeline.formats.csv import FAILURES
from pipeline.formats.dialect import open_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pipeline.formats.base import Example

EXPECTED = "a file with one JSON object per line, plain or .gz"
BLOCK_ROWS = 8192
SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class JsonLines:
    """A file of JSON lines. Raw inputs are the declared members of each object; absent and null members are missing.

    Args:
        path: File, absolute or under the data folder; may be `.gz`.
        columns: Kind of each input: "float", "int", "bytes" (text), or "float[n]" for a list of numbers.
        label: Member with the label.
        classes: Declared classes; empty if the label is a number.
        test: A second file, the official test set; then `path` has the training rows.
        extra: Kind of other members, which clients do not send, for `Group` splits and slices.
        time: Member with the date of each row, for `Time` splits.
        missing: Texts that mean a missing value.
    """

    path: str
    columns: Mapping[str, str]
    label: str
    classes: tuple[str, ...] = ()
    test: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    missing: tuple[str, ...] = table.MISSING_TEXTS

    @property
    def inputs(self) -> dict[str, str]:
        """The declared members."""
        return dict(self.columns)

    def files(self, data: Path) -> list[Path]:
        """Returns the file, and the official test file if there is one.

        Raises:
            PipelineError: There is no such file.
        """
        return table.find_files(data, (self.path, self.test), EXPECTED)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the objects in the order of the file; a line without an object is an example with a fault.

        Raises:
            PipelineError: The file is damaged.
        """
        layout = table.Layout.from_table(self)
        for path, split in table.assign_splits(self.files(data), self.test):
            for line, row, fault in read_rows(path):
                source = f"{path} line {line}"
                yield layout.example(source, row, split) if not fault else table.faulty_example(source, split, fault)


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Yields line number, object and fault of each line that is not blank.

    Raises:
        PipelineError: The file is damaged.
    """
    try:
        with open_text(path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, *_parse_line(line)
    except FAILURES as error:
        raise unreadable_file(path, EXPECTED, error) from error


def _parse_line(line: str) -> tuple[dict[str, Any], str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {}, f"not JSON: {error}: {line.strip()[:SHOWN_CHARACTERS]!r}"
    if not isinstance(value, dict):
        return {}, f"not an object: {line.strip()[:SHOWN_CHARACTERS]!r}"
    return value, ""


def read_blocks(path: Path) -> Iterator[dict[str, list[Any]]]:
    """Yields the readable objects as columns, some thousand at a time; missing members are None."""
    sound = (row for _, row, fault in read_rows(path) if not fault)
    while block := list(itertools.islice(sound, BLOCK_ROWS)):
        names = dict.fromkeys(name for row in block for name in row)
        yield {name: [row.get(name) for row in block] for name in names}
