"""A batch job: predicts all rows of a file, in parts that are written atomically.

A job that was killed resumes after the last part. Rows that cannot be read or predicted go to a separate file, each
with its reason.
"""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.batch_inference import output
from pipeline.batch_inference import rows as batch_inference_rows
from pipeline.batch_inference.columns import find_dialect
from pipeline.batch_inference.rows import make_inputs, predict_rows
from pipeline.errors import PipelineError, UsageError
from pipeline.formats import read_table
from pipeline.store import fileio
from pipeline.store.fileio import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from pipeline.batch_inference.columns import InputColumns
    from pipeline.batch_inference.output import Columns
    from pipeline.batch_inference.rows import Row
    from pipeline.tables.dialect import Dialect
    from serving.core.signature import Signature


BATCH_ROWS = 128
PART_ROWS = 4096
PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class Job:
    """A request for a batch prediction.

    Attributes:
        path: File or folder with the rows.
        out: File to write.
        signature: Inputs and outputs of the model's signature.
        predict: Takes arrays (batch, …) by input and returns arrays (batch, …) by output.
        model: Identity of the model, different for each version.
        columns: Columns of the inputs.
        dialect: How a CSV file is written.
    """

    path: Path
    out: Path
    signature: Signature
    predict: Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]
    model: str
    columns: InputColumns
    dialect: Dialect | None = None

    @property
    def plan(self) -> dict[str, Any]:
        """Returns what must be equal for an interrupted job to resume."""
        files = sorted(self.path.rglob("*")) if self.path.is_dir() else [self.path]
        stats = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]
        form = self.dialect.options() if self.dialect else {}
        return {"model": self.model, "signature": self.signature.name, "files": stats, "form": form}


@dataclass
class Outcome:
    """Result of a job.

    Attributes:
        rows: Rows of the file.
        bad: Rows without a prediction.
        resumed: Rows that an interrupted job had done before.
        out: The file with the predictions.
        unused: Columns of the rows that are neither an input's nor the target's.
        lacking: Inputs that no row has, and that count as missing.
        reasons: The bad rows, one JSON object a line: {"row", "place", "reason", "cells"}; None if there are none.
        pictures: The folder of the pictures that the file names; None if it names none.
    """

    rows: int = 0
    bad: int = 0
    resumed: int = 0
    out: str = ""
    reasons: str | None = None
    unused: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    pictures: str | None = None


def require_other_file(path: Path, out: Path) -> None:
    """Raises a UsageError if writing the output, or the list of bad rows, would replace the input or add to it."""
    for file in (out, bad_rows_file(out)):
        inside = path.is_dir() and file.resolve().is_relative_to(path.resolve())
        same = file.resolve() == path.resolve() or (file.exists() and path.exists() and file.samefile(path))
        if inside or same:
            raise UsageError(
                f"{out} would be written over {path}." if same else f"{out} is inside the folder that is read.",
                expected="an output apart from the input",
                received=f"{file}, which is {'the same file' if same else 'part of'} {'' if same else path}".strip(),
                action="name another file with --out",
            )


def bad_rows_file(out: Path) -> Path:
    """Returns the file with the rows without a prediction, and the reasons."""
    return out.with_name(f"{out.name}.bad.jsonl")


def run(job: Job, on_progress: Callable[[int], None]) -> Outcome:
    """Predicts all rows and writes the predictions.

    Args:
        job: The request.
        on_progress: Called with the number of rows that are done, after each part.

    Raises:
        PipelineError: There are no rows, the file is damaged, or another process writes the same file.
        ServingError: The model cannot be reached.
    """
    output.check_format(job.out)
    require_other_file(job.path, job.out)
    dialect = find_dialect(job.path, job.dialect, job.columns)
    job = replace(job, dialect=dialect)
    lock_file = job.out.with_name(f".{job.out.name}.lock")
    with lock(lock_file, on_wait=lambda: _raise_busy(job.out)):
        try:
            return _run_parts(job, on_progress)
        finally:
            lock_file.unlink()


def _run_parts(job: Job, on_progress: Callable[[int], None]) -> Outcome:
    parts = PartStore(job.out.with_name(f".{job.out.name}.parts"))
    cells = _read_first(job)
    columns = output.infer_columns(job.path, cells, job.signature.outputs, job.columns)
    resumed = parts.begin(job.plan)
    on_progress(resumed)
    for first, rows in _read_chunks(job, resumed):
        good, bad = _predict_chunk(job, columns, rows)
        parts.add(first, first + len(rows) - 1, good, bad, columns.schema)
        on_progress(first + len(rows))
    outcome = _write_results(job, parts, columns, resumed)
    return replace(outcome, unused=job.columns.find_unused(cells), lacking=job.columns.find_lacking(cells))


def _raise_busy(out: Path) -> None:
    raise PipelineError(
        f"{out} is being written by another process.",
        expected="one process for each file",
        received="a second one",
        action="wait for it, or write to another file with --out",
    )


def _read_rows(job: Job) -> Iterator[Row]:
    return batch_inference_rows.read_rows(job.path, job.columns.only, job.dialect)


def _read_first(job: Job) -> Mapping[str, Any]:
    """Returns a cell of each column: of the first row, and of JSON, where each row may have others, of all rows.

    Raises:
        PipelineError: There is no row, or a column is missing.
    """
    rows = _read_rows(job)
    first = next(rows, None)
    if first is None:
        words = f"There are no rows in {job.path}."
        action = "name another file with --file"
        raise PipelineError(words, expected="at least one row", received="none", action=action)
    cells = dict(first.cells)
    for row in rows if read_table.table_format(job.path) == "jsonl" else ():
        cells = cells if row.cells.keys() <= cells.keys() else {**row.cells, **cells}
    if cells:  # else no row can be read, and each has its reason
        job.columns.require(job.path, cells)
    return cells


def _read_chunks(job: Job, done: int) -> Iterator[tuple[int, list[Row]]]:
    rows = itertools.islice(_read_rows(job), done, None)
    while chunk := list(itertools.islice(rows, PART_ROWS)):
        yield chunk[0].number, chunk


def _predict_chunk(job: Job, columns: Columns, rows: list[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns rows with predictions, and an entry with the reason for each row without one."""
    folder = job.path if job.path.is_dir() else job.path.parent
    good, bad = [], []
    for start in range(0, len(rows), BATCH_ROWS):
        batch = [(row, *make_inputs(row, job.columns, folder, job.dialect)) for row in rows[start : start + BATCH_ROWS]]
        sound = [values for _, values, fault in batch if not fault]
        predictions = iter(predict_rows(sound, job.predict) if sound else ())
        for row, _, fault in batch:
            answer = fault or next(predictions)
            if isinstance(answer, str):
                bad.append({"row": row.number, "place": row.place, "reason": answer, "cells": _cell_texts(row)})
            else:
                good.append(columns.row(row, answer))
    return good, bad


def _cell_texts(row: Row) -> dict[str, str]:
    texts = {name: value if isinstance(value, str) else repr(value)[:200] for name, value in row.cells.items()}
    return {name: text.encode(errors="backslashreplace").decode() for name, text in texts.items()}


def _write_results(job: Job, parts: PartStore, columns: Columns, resumed: int) -> Outcome:
    done = parts.done()
    pictures = output.write_output(job.out, [part.table for part in done], columns.schema)
    aside = bad_rows_file(job.out)
    lines = list(parts.bad())
    if lines:
        with fileio.replace_file(aside) as temporary:
            temporary.write_text("".join(lines))
    else:
        aside.unlink(missing_ok=True)
    parts.remove()
    return Outcome(
        rows=done[-1].last + 1,
        bad=len(lines),
        resumed=resumed,
        out=str(job.out),
        reasons=str(aside) if lines else None,
        pictures=str(pictures) if pictures else None,
    )


@dataclass(frozen=True)
class Part:
    """Rows from `first` to `last`, both included."""

    first: int
    last: int
    folder: Path

    @property
    def table(self) -> Path:
        """Parquet file with the predictions."""
        return self.folder / f"{self.first:012}-{self.last:012}.parquet"

    @property
    def bad(self) -> Path:
        """File with the rows without a prediction, one JSON object a line."""
        return self.table.with_suffix(".bad.jsonl")


@dataclass(frozen=True)
class PartStore:
    """The parts of one job.

    Attributes:
        folder: Folder of their files.
    """

    folder: Path

    def begin(self, plan: Mapping[str, Any]) -> int:
        """Returns the number of the first row to do; removes all parts and returns 0 if the plan has changed."""
        if fileio.read_json(self.folder / PLAN_FILE) != plan:
            shutil.rmtree(self.folder, ignore_errors=True)
            fileio.write_json(self.folder / PLAN_FILE, plan)
        return max((part.last + 1 for part in self.done()), default=0)

    def done(self) -> list[Part]:
        """Returns the complete parts, in the order of their rows."""
        limits = sorted(path.stem.split("-") for path in self.folder.glob("*.parquet"))
        return [Part(int(first), int(last), self.folder) for first, last in limits]

    def add(self, first: int, last: int, rows: list[dict[str, Any]], bad: Iterable[Any], schema: pa.Schema) -> Part:
        """Writes a part; its bad rows first, so that an existing part always has them."""
        import pyarrow as pa
        from pyarrow.parquet import write_table

        part = Part(first, last, self.folder)
        with fileio.replace_file(part.bad) as temporary:
            temporary.write_text("".join(json.dumps(entry) + "\n" for entry in bad))
        with fileio.replace_file(part.table) as temporary:
            write_table(pa.Table.from_pylist(rows, schema), temporary)
        return part

    def bad(self) -> Iterator[str]:
        """Yields the lines about bad rows."""
        for part in self.done():
            yield from part.bad.read_text().splitlines(keepends=True)

    def remove(self) -> None:
        """Removes the parts, once the output is written."""
        shutil.rmtree(self.folder)
