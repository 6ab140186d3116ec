"""What is done of a file, in parts that appear whole: a job that was killed goes on behind the last of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

PLAN = "plan.json"


@dataclass(frozen=True)
class Part:
    """Rows from `first` to `last`, both among them."""

    first: int
    last: int
    folder: Path

    @property
    def table(self) -> Path:
        """Answers, Parquet."""
        return self.folder / f"{self.first:012}-{self.last:012}.parquet"

    @property
    def bad(self) -> Path:
        """Rows without an answer, one JSON object a line."""
        return self.table.with_suffix(".bad.jsonl")


@dataclass(frozen=True)
class Parts:
    """The parts of one job.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    def begin(self, plan: Mapping[str, Any]) -> int:
        """Number of the first row that is still to be done; 0 and no parts where what is asked has changed."""
        if atomic.read_json(self.folder / PLAN) != plan:
            shutil.rmtree(self.folder, ignore_errors=True)
            atomic.write_json(self.folder / PLAN, plan)
        return max((part.last + 1 for part in self.done()), default=0)

    def done(self) -> list[Part]:
        """The parts that are there, in the order of their rows."""
        limits = sorted(path.stem.split("-") for path in self.folder.glob("*.parquet"))
        return [Part(int(first), int(last), self.folder) for first, last in limits]

    def add(self, first: int, last: int, rows: list[dict[str, Any]], bad: Iterable[Any], schema: pa.Schema) -> Part:
        """Writes a part; its bad rows first, so that a part which is there has them."""
        import pyarrow as pa
        from pyarrow.parquet import write_table

        part = Part(first, last, self.folder)
        with atomic.file(part.bad) as beside:
            beside.write_text("".join(json.dumps(one) + "\n" for one in bad))
        with atomic.file(part.table) as beside:
            write_table(pa.Table.from_pylist(rows, schema), beside)
        return part

    def bad(self) -> Iterator[str]:
        """The lines about bad rows."""
        for part in self.done():
            yield from part.bad.read_text().splitlines(keepends=True)

    def remove(self) -> None:
        """Takes them away when all is written."""
        shutil.rmtree(self.folder)
