"""Time series in a table, cut into windows: the past as inputs, the following values as the label."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dateutil.relativedelta import relativedelta

from pipeline.errors import PipelineError
from pipeline.formats import table
from pipeline.formats.base import Example, Value
from pipeline.formats.read_table import read_rows
from pipeline.store import journal
from pipeline.tables.calendar import Step, describe_step, follows, month_count, read_time
from pipeline.tables.number_forms import MISSING_TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from pipeline.tables.dialect import Dialect

SEPARATOR = ","
MAX_SHOWN = 5
EXPECTED = "a table: CSV, TSV, JSON lines or Parquet"


@dataclass(frozen=True)
class Row:
    """One row of the file: the inputs and the target at one time of a series."""

    place: str
    key: tuple[str, ...]
    time: datetime
    numbers: tuple[float, ...]
    texts: tuple[str, ...]
    target: float


@dataclass
class WindowCounts:
    """Counts of a file, which the journal gets as the event `windows`.

    Attributes:
        steps: Usable rows.
        windows: Windows that were yielded.
        passed_over: Windows that were skipped because a value is missing in their horizon.
        gaps: Places where the next row is not one step later; no window crosses one.
        first_gaps: Descriptions of the first gaps.
    """

    steps: int = 0
    windows: int = 0
    passed_over: int = 0
    gaps: int = 0
    first_gaps: list[str] = field(default_factory=list)

    def add_gap(self, last: Row, first: Row) -> None:
        """Counts a gap between two rows of a series."""
        self.gaps += 1
        if len(self.first_gaps) < MAX_SHOWN:
            series = f" of {', '.join(first.key)}" if first.key else ""
            self.first_gaps.append(f"{first.place}{series}: from {last.time.isoformat()} to {first.time.isoformat()}")


@dataclass
class Ring:
    """The last rows of a series, as many as a window has; `count` of all since the last gap."""

    rows: deque[Row]
    count: int = 0

    @property
    def is_full(self) -> bool:
        """Whether they make a window."""
        return len(self.rows) == self.rows.maxlen

    def add(self, row: Row) -> None:
        """Adds the next row."""
        self.rows.append(row)
        self.count += 1

    def clear(self) -> None:
        """Begins anew."""
        self.rows.clear()
        self.count = 0


@dataclass(frozen=True)
class TimeSeries:
    """Time series as windows: the inputs are `length` steps, the label is the target's next `horizon` values.

    A missing number is NaN and a missing text "". They are not filled here, since the windows that clients send have
    missing values, too: `preprocess`, which is served, must fill them. A window with a missing value in its label is
    skipped. No window crosses a gap in time.

    Only one window's steps of each series are in memory, unless the rows have to be sorted. `begins` and `ends` of an
    example are the times of its first and its last step, horizon included, so that overlapping windows are never on
    both sides of a split by `Time`.

    Args:
        path: CSV or TSV with a header, JSON lines (all plain or .gz), Parquet, absolute or under the data folder.
        time: Column of times, ISO or as `pipeline.features.dates` reads them, or the columns of year, month, day and so
            on. Times with an offset become UTC.
        step: Time from one row to the next: `timedelta`, `relativedelta(months=1)`, or `BusinessDays(week=…)`.
        target: Column to forecast; for its past as an input, name it in `numbers`, too.
        numbers: Columns of numbers by the name of their input, of kind "float[LENGTH]" each.
        texts: Columns of categories by the name of their input, of kind "bytes" each: the cells, joined by commas.
        length: Number of past steps.
        horizon: Number of steps to forecast.
        stride: Number of steps from the start of one window to the start of the next.
        label: Name of the label, a vector of `horizon` numbers.
        missing: Texts that mean a missing value.
        key: Columns that name the series of a row, if there are several.
        order: "month first" for times such as 1/31/2024, "day first" for 31/1/2024.
        sort: Whether to sort the rows by time, in memory; else each series must be in the order of time.
        dialect: How a CSV file is written, where that is not found in the file: `Dialect(encoding="cp1252")`.

    Raises:
        ValueError: The step has months and days.
    """

    path: str
    time: tuple[str, ...]
    step: Step
    target: str
    numbers: Mapping[str, str]
    texts: Mapping[str, str] = field(default_factory=dict)
    length: int = 24
    horizon: int = 1
    stride: int = 1
    label: str = "next"
    missing: tuple[str, ...] = MISSING_TEXTS
    key: tuple[str, ...] = ()
    order: str = ""
    sort: bool = False
    dialect: Dialect | None = None

    def __post_init__(self) -> None:
        if isinstance(self.step, relativedelta):
            month_count(self.step)

    @property
    def inputs(self) -> dict[str, str]:
        """One vector for each column of numbers, one text for each column of categories."""
        return dict.fromkeys(self.numbers, f"float[{self.length}]") | dict.fromkeys(self.texts, "bytes")

    @property
    def classes(self) -> tuple[str, ...]:
        """None: the label is a vector of numbers."""
        return ()

    def files(self, data: Path) -> list[Path]:
        """Returns the file.

        Raises:
            PipelineError: There is no such file.
        """
        return table.find_files(data, (self.path,), EXPECTED, folders=True)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the windows in the order of their last rows, and the unusable rows between them.

        Raises:
            PipelineError: A column is missing, or there is no window at all.
        """
        (path,) = self.files(data)
        counts = WindowCounts()
        rows = self._sorted_rows(path) if self.sort else self._read_rows(path)
        yield from self._windows(path, _check_order(path, rows), counts)
        journal.report("windows", **vars(counts))
        if counts.steps and not counts.windows:
            raise self._no_window(path, counts)

    def _sorted_rows(self, path: Path) -> Iterator[Row | Example]:
        rows: list[Row] = []
        for row in self._read_rows(path):
            if isinstance(row, Row):
                rows.append(row)
            else:
                yield row
        yield from sorted(rows, key=lambda row: (row.key, row.time))

    def _read_rows(self, path: Path) -> Iterator[Row | Example]:
        """Yields each row, or an example with its fault."""
        columns = [*self.time, *self.key, *self.numbers.values(), *self.texts.values(), self.target]
        for place, cells, unread in read_rows(path, list(dict.fromkeys(columns)), self.dialect):
            try:
                if unread:
                    raise ValueError(unread)  # noqa: TRY301
                yield self._row(place, cells)
            except ValueError as error:
                yield Example(f"{path} {place}", {}, fault=str(error))

    def _row(self, place: str, cells: Mapping[str, Any]) -> Row:
        moment = read_time(cells, self.time, self.order)
        numbers = (self._number(name, cells) for name in self.numbers.values())
        # The graph reads a time as ISO, whatever the table writes.
        texts = (
            moment.isoformat() if (name,) == self.time else self._word(name, cells) for name in self.texts.values()
        )
        key = (self._text(name, cells) for name in self.key)
        return Row(place, tuple(key), moment, tuple(numbers), tuple(texts), self._number(self.target, cells))

    def _number(self, name: str, row: Mapping[str, Any]) -> float:
        raw = row.get(name)
        try:
            value = math.nan if table.is_missing(raw, self.missing) else table.to_value(raw, "float")
        except table.FAILURES:
            raise ValueError(f"column {name} is not of kind float: {str(raw)[:40]!r}") from None
        assert isinstance(value, float)
        return value

    def _text(self, name: str, row: Mapping[str, Any]) -> str:
        raw = row.get(name)
        try:
            return "" if table.is_missing(raw, self.missing) else table.to_text(raw).decode()
        except table.FAILURES:
            raise ValueError(f"column {name} is not of kind bytes: {str(raw)[:40]!r}") from None

    def _word(self, name: str, row: Mapping[str, Any]) -> str:
        text = self._text(name, row)
        if SEPARATOR in text:
            raise ValueError(f"column {name} holds a comma, which separates the steps of a window: {text[:40]!r}")
        return text

    def _windows(self, path: Path, rows: Iterator[Row | Example], counts: WindowCounts) -> Iterator[Example]:
        series: dict[tuple[str, ...], Ring] = defaultdict(lambda: Ring(deque(maxlen=self.length + self.horizon)))
        for row in rows:
            if isinstance(row, Example):
                yield row
                continue
            ring = series[row.key]
            if ring.rows and not follows(ring.rows[-1].time, row.time, self.step):
                counts.add_gap(ring.rows[-1], row)
                ring.clear()
            ring.add(row)
            counts.steps += 1
            if ring.is_full and (ring.count - len(ring.rows)) % self.stride == 0:
                yield from self._window(path, list(ring.rows), counts)

    def _window(self, path: Path, steps: list[Row], counts: WindowCounts) -> Iterator[Example]:
        past, future = steps[: self.length], steps[self.length :]
        label = tuple(step.target for step in future)
        if any(map(math.isnan, label)):
            counts.passed_over += 1
            return
        counts.windows += 1
        numbers = zip(*(step.numbers for step in past), strict=True)  # rows of columns to columns of rows
        texts = (SEPARATOR.join(cells).encode() for cells in zip(*(step.texts for step in past), strict=True))
        features: dict[str, Value] = dict(zip(self.numbers, numbers, strict=True))
        features |= dict(zip(self.texts, texts, strict=True))
        source = f"{path} {steps[0].place} to {steps[-1].place}"
        begins, ends = steps[0].time.isoformat(), steps[-1].time.isoformat()
        yield Example(source, {**features, self.label: label}, begins=begins, ends=ends)

    def _no_window(self, path: Path, counts: WindowCounts) -> PipelineError:
        return PipelineError(
            f"{path} has no window of {self.length} and {self.horizon} steps.",
            expected=f"{self.length + self.horizon} rows with a target, each {describe_step(self.step)} after the last",
            received=f"{counts.steps} rows; {counts.gaps} gaps, {counts.passed_over} with a gap in the horizon",
            action="fill gaps with rows without a number; or correct step, length, horizon or time in the recipe's data"
            + "".join(f"\n  {gap}" for gap in counts.first_gaps),
        )


def _check_order(path: Path, rows: Iterator[Row | Example]) -> Iterator[Row | Example]:
    """Yields an example with a fault instead of a row that is not later than the row before of the same series."""
    before: dict[tuple[str, ...], datetime] = {}
    for row in rows:
        if isinstance(row, Row):
            if row.key in before and row.time <= before[row.key]:
                fault = f"{row.time.isoformat()} is not later than the row before"
                yield Example(f"{path} {row.place}", {}, fault=fault)
                continue
            before[row.key] = row.time
        yield row
