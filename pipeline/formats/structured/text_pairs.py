"""Two columns of text in a table: a sentence, and the one that is to be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.features import text
from pipeline.formats import table
from pipeline.formats.base import Example
from pipeline.formats.read_table import EXPECTED_FILE, read_rows
from pipeline.tables.dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_WORDS = 1000


@dataclass(frozen=True)
class TextPairs:
    """Raw input `source`, target `target_text`: the texts of two columns.

    Args:
        path: CSV, TSV, JSON lines or Parquet file, absolute or under the data folder.
        source: Column of the input.
        target: Column of the answer.
        test: File of the official test set; then `path` has the training rows.
        encoding: Of a CSV file; found in the file if empty.
        delimiter: The same.
    """

    path: str
    source: str
    target: str
    test: str = ""
    encoding: str = ""
    delimiter: str = ""
    label: str = ""
    classes: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, str]:
        """One text."""
        return {"source": "bytes"}

    @property
    def targets(self) -> dict[str, str]:
        """One text."""
        return {"target_text": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """Returns the files.

        Raises:
            PipelineError: One does not exist.
        """
        return table.find_files(data, (self.path, self.test), EXPECTED_FILE, folders=True)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the pairs in the order of the file.

        Raises:
            PipelineError: A column is missing, or the file is damaged.
        """
        dialect = Dialect(delimiter=self.delimiter, encoding=self.encoding)
        for path, split in table.assign_splits(self.files(data), self.test):
            for place, cells, unreadable in read_rows(path, [self.source, self.target], dialect):
                texts = [cells.get(name) for name in (self.source, self.target)]
                fault = unreadable or next(filter(None, map(find_fault, (self.source, self.target), texts)), "")
                pair = {} if fault else dict(zip(("source", "target_text"), map(table.to_text, texts), strict=True))
                yield Example(f"{path} {place}", pair, split, fault)


def find_fault(name: str, raw: Any) -> str:
    """Returns why the text of a column cannot be used; empty if it can."""
    if raw is None or raw == "":
        return f"column {name} is empty"
    if not isinstance(raw, str):
        return f"column {name} is no text: {str(raw)[:40]}"
    words = len(raw.split())
    if words > MOST_WORDS:
        return f"column {name} has {words:,} words, expected at most {MOST_WORDS:,}"
    content_fault = text.fault(raw.encode(errors="replace"))
    return f"column {name} is {content_fault}" if content_fault else ""
