"""Forecasts from a table: its rows are the history of one or several series, and each gets its next steps with times.

The model's version says which columns it needs (`assets.extra/forecast.json`), its signature `forecast` does the rest.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import time as day_time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.batch_inference import output
from pipeline.batch_inference.columns import InputColumns, find_dialect, missing_texts
from pipeline.batch_inference.job import Outcome
from pipeline.batch_inference.rows import find_broken
from pipeline.errors import PipelineError
from pipeline.export.columns import COLUMNS_FILE, FORECAST_FILE, FORECAST_TIME
from pipeline.formats import table
from pipeline.formats.read_table import read_rows
from pipeline.store import fileio
from pipeline.tables import calendar
from pipeline.tables.number_forms import MISSING_TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    import numpy as np

    from pipeline.tables.dialect import Dialect

BATCH_SERIES = 32
OUTPUT = "predicted_{}"
MIDNIGHT = "T00:00:00"  # which the times of a series of days have, and its file has not


@dataclass(frozen=True)
class Layout:
    """The columns of a table from which a model forecasts; see `pipeline.formats.time_series.TimeSeries`.

    Attributes:
        time: Columns of the time of a row.
        time_input: Input that gets it.
        key: Columns that name the series.
        order: How dates with slashes are written.
        numbers: Column by input.
        texts: Column by input.
        target: The column that is forecast.
        length: Steps that the model sees.
        horizon: Steps that it forecasts.
        missing: Texts that mean a missing value; an empty one always does.
    """

    time: list[str]
    time_input: str
    key: list[str]
    order: str
    numbers: dict[str, str]
    texts: dict[str, str]
    target: str
    length: int
    horizon: int
    missing: frozenset[str] = frozenset(MISSING_TEXTS)

    @property
    def time_column(self) -> str:
        """The column of times in the output."""
        return self.time[0] if len(self.time) == 1 else FORECAST_TIME

    @property
    def columns(self) -> list[str]:
        """All columns that a table must have."""
        return list(dict.fromkeys([*self.time, *self.key, *self.numbers.values(), *self.texts.values()]))

    @property
    def inputs(self) -> InputColumns:
        """The columns of the inputs, as of a model that answers row by row."""
        kinds = dict.fromkeys(self.numbers, "float") | dict.fromkeys(self.texts, "bytes")
        return InputColumns(kinds, {**self.numbers, **self.texts})


@dataclass(frozen=True)
class Step:
    """One row: its time, and its values by input."""

    time: datetime
    values: Mapping[str, Any]


@dataclass
class History:
    """The rows of a table.

    Attributes:
        series: Rows by series, in the order of time; only as many as the model sees.
        rows: Number of all rows.
        bad: Rows that cannot be read, each with its place, reason and cells.
        zoned: Whether times say their zone: they are read in UTC then, and forecasts are dated so.
    """

    series: dict[tuple[str, ...], list[Step]] = field(default_factory=dict)
    rows: int = 0
    bad: list[dict[str, Any]] = field(default_factory=list)
    zoned: bool = False


def read_layout(model: Path) -> Layout | None:
    """Returns the columns that a model's version needs; None if it is no forecasting model."""
    fields = fileio.read_json(model / FORECAST_FILE)
    return Layout(**fields, missing=missing_texts(fileio.read_json(model / COLUMNS_FILE, {}))) if fields else None


def run(
    path: Path,
    out: Path,
    layout: Layout,
    predict: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    dialect: Dialect | None = None,
) -> Outcome:
    """Forecasts every series of a table, and writes the next steps to a file.

    Args:
        path: CSV, TSV, JSON lines or Parquet.
        out: File to write: the columns of the key, the time, and `predicted_TARGET`.
        layout: The columns.
        predict: The model's signature `forecast`: takes arrays (series, rows), returns arrays (series, horizon).
        dialect: What is known of how a CSV file is written.

    Raises:
        PipelineError: A column is missing, or no row can be read.
        UsageError: Its numbers can be read in two ways.
        ServingError: The model cannot be reached.
    """
    output.check_format(out)
    dialect = find_dialect(path, dialect, layout.inputs)
    _, first, _ = next(read_rows(path, dialect=dialect), ("", {}, ""))
    layout = find_columns(layout, first)
    history = read_history(path, layout, dialect)
    if not history.series:
        raise PipelineError(
            f"{path} has no row from which to forecast.",
            expected=f"rows with {', '.join(layout.columns)}",
            received=history.bad[0]["reason"] if history.bad else "no rows",
            action="name another file with --file",
        )
    _write(out, layout, list(_forecast(history, layout, predict)))
    unused = [name for name in first if name not in {*layout.columns, layout.target}]
    return Outcome(history.rows, len(history.bad), 0, str(out), _write_bad(out, history.bad), unused)


def find_columns(layout: Layout, there: Iterable[str]) -> Layout:
    """Returns the layout with the names in a table: those of the file that was trained on, or those of the inputs."""
    columns = layout.numbers | layout.texts
    known = layout.inputs.sources(there)
    names = {column: known.get(name, column) for name, column in columns.items()}
    return replace(
        layout,
        time=[names.get(column, column) for column in layout.time],
        key=[names.get(column, column) for column in layout.key],
        numbers={name: names[column] for name, column in layout.numbers.items()},
        texts={name: names[column] for name, column in layout.texts.items()},
    )


def read_history(path: Path, layout: Layout, dialect: Dialect | None = None) -> History:
    """Reads the rows of a table, and sorts those of each series by time.

    Raises:
        PipelineError: A column is missing, or the file is damaged.
    """
    history, series = History(), defaultdict(list)
    encoding = dialect.named_encoding if dialect else ""
    for place, cells, fault in read_rows(path, layout.columns, dialect):
        history.rows += 1
        try:
            read = {name: cells.get(name) for name in layout.columns}
            if fault := fault or find_broken(read, encoding):
                raise ValueError(fault)
            step = _read_step(cells, layout)
            history.zoned = history.zoned or any(calendar.has_zone(cells.get(name)) for name in layout.time)
            series[tuple(_text(cells.get(name), layout.missing) for name in layout.key)].append(step)
        except (*table.FAILURES, AttributeError) as error:
            texts = {name: str(value)[:200] for name, value in cells.items()}
            history.bad.append({"row": history.rows - 1, "place": place, "reason": str(error), "cells": texts})
    history.series = {key: sorted(rows, key=lambda row: row.time)[-layout.length :] for key, rows in series.items()}
    return history


def _read_step(cells: Mapping[str, Any], layout: Layout) -> Step:
    numbers = {name: _number(column, cells.get(column), layout.missing) for name, column in layout.numbers.items()}
    return Step(
        calendar.read_time(cells, layout.time, layout.order),
        numbers | {name: _text(cells.get(c), layout.missing) for name, c in layout.texts.items()},
    )


def _number(column: str, raw: Any, missing: frozenset[str]) -> float:
    try:
        return math.nan if table.is_missing(raw, missing) else float(table.to_value(raw, "float"))  # type: ignore[arg-type]
    except table.FAILURES:
        raise ValueError(f"column {column} is no number: {str(raw)[:40]!r}") from None


def _text(raw: Any, missing: frozenset[str]) -> str:
    return "" if table.is_missing(raw, missing) else table.to_text(raw).decode()


def _forecast(
    history: History, layout: Layout, predict: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yields one row of the output for each step of each series."""
    keys = list(history.series)
    ending = (
        MIDNIGHT if all(step.time.time() == day_time.min for rows in history.series.values() for step in rows) else ""
    )
    zone = "Z" if history.zoned and not ending else ""
    for start in range(0, len(keys), BATCH_SERIES):
        batch = keys[start : start + BATCH_SERIES]
        answer = predict(_make_request([history.series[key] for key in batch], layout))
        values = _forecast_values(answer, layout.horizon)
        for place, key in enumerate(batch):
            for moment, value in zip(answer[FORECAST_TIME][place], values[place], strict=True):
                text = moment.decode() if isinstance(moment, bytes) else str(moment)
                names = dict(zip(layout.key, key, strict=True))
                yield names | {
                    layout.time_column: text.removesuffix(ending) + zone,
                    OUTPUT.format(layout.target): float(f"{value:.7g}"),
                }


def _forecast_values(answer: Mapping[str, Any], horizon: int) -> np.ndarray:
    """Returns the output (series, horizon) that holds the forecast: the first one of numbers."""
    import numpy as np

    arrays = [np.asarray(value) for name, value in answer.items() if name != FORECAST_TIME]
    return next(array for array in arrays if array.dtype.kind == "f" and array.shape[1:] == (horizon,))


def _make_request(series: list[list[Step]], layout: Layout) -> dict[str, np.ndarray]:
    """Returns arrays (series, rows) by input; shorter series are padded."""
    import numpy as np

    longest = max(map(len, series))

    def fill(values: list[list[Any]], missing: Any, dtype: Any) -> np.ndarray:
        return np.array([row + [missing] * (longest - len(row)) for row in values], dtype)

    times = fill([[step.time.isoformat() for step in rows] for rows in series], "", object)
    numbers = {
        name: fill([[step.values[name] for step in rows] for rows in series], math.nan, np.float32)
        for name in layout.numbers
    }
    texts = {name: fill([[step.values[name] for step in rows] for rows in series], "", object) for name in layout.texts}
    return {layout.time_input: times, **numbers, **texts}


def _write(out: Path, layout: Layout, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    kinds = {
        **dict.fromkeys(layout.key, pa.string()),
        layout.time_column: pa.string(),
        OUTPUT.format(layout.target): pa.float64(),
    }
    schema = pa.schema(kinds.items())
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.parquet"
        write_table(pa.Table.from_pylist(rows, schema), part)
        output.write_output(out, [part], schema)


def _write_bad(out: Path, bad: list[dict[str, Any]]) -> str | None:
    aside = out.with_name(f"{out.name}.bad.jsonl")
    if not bad:
        aside.unlink(missing_ok=True)
        return None
    with fileio.replace_file(aside) as temporary:
        temporary.write_text("".join(json.dumps(entry) + "\n" for entry in bad))
    return str(aside)
