"""A time series in a table, cut into windows: the past as inputs, the following values as the label."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from dateutil.relativedelta import relativedelta

from pipeline.errors import PipelineError
from pipeline.features import dates
from pipeline.formats import table
from pipeline.formats.base import Example, Value
from pipeline.formats.read_table import read_rows
from pipeline.store import journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SEPARATOR = ","
MAX_SHOWN = 5
EXPECTED = "a table: CSV, TSV, JSON lines or Parquet"


@dataclass(frozen=True)
class Step:
    """One row of the file: the inputs and the target at one time."""

    place: str
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


@dataclass(frozen=True)
class TimeSeries:
    """A time series as windows: the inputs are `length` steps, the label is the target's next `horizon` values.

    A missing number is NaN and a missing text "". They are not filled here, since the windows that clients send have
    missing values, too: `preprocess`, which is served, must fill them. A window with a missing value in its label is
    skipped. No window crosses a gap in time.

    Only one window's steps are in memory. `begins` and `ends` of an example are the times of its first and its last
    step, horizon included, so that overlapping windows are never on both sides of a split by `Time`.

    Args:
        path: CSV or TSV with a header, JSON lines (all plain or .gz), Parquet, absolute or under the data folder; its
            rows must be in the order of time.
        time: Column of times, ISO or as `pipeline.features.dates` reads them, or the columns of year, month, day and so
            on. Times with an offset become UTC.
        step: Time from one row to the next; for calendar months `relativedelta(months=1)`.
        target: Column to forecast; for its past as an input, name it in `numbers`, too.
        numbers: Columns of numbers by the name of their input, of kind "float[LENGTH]" each.
        texts: Columns of categories by the name of their input, of kind "bytes" each: the cells, joined by commas.
        length: Number of past steps.
        horizon: Number of steps to forecast.
        stride: Number of steps from the start of one window to the start of the next.
        label: Name of the label, a vector of `horizon` numbers.
        missing: Texts that mean a missing value.

    Raises:
        ValueError: The step has months and days.
    """

    path: str
    time: tuple[str, ...]
    step: timedelta | relativedelta
    target: str
    numbers: Mapping[str, str]
    texts: Mapping[str, str] = field(default_factory=dict)
    length: int = 24
    horizon: int = 1
    stride: int = 1
    label: str = "next"
    missing: tuple[str, ...] = table.MISSING_TEXTS

    def __post_init__(self) -> None:
        if not isinstance(self.step, timedelta):
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
        """Yields the windows in the order of time, and the unusable rows between them.

        Raises:
            PipelineError: A column is missing, or there is no window at all.
        """
        (path,) = self.files(data)
        counts = WindowCounts()
        yield from self._windows(path, self._rows(path), counts)
        journal.report("windows", **vars(counts))
        if counts.steps and not counts.windows:
            raise self._no_window(path, counts)

    def _rows(self, path: Path) -> Iterator[Step | Example]:
        """Yields each row as a step, or as an example with a fault."""
        before: datetime | None = None
        names = list(dict.fromkeys([*self.time, *self.numbers.values(), *self.texts.values(), self.target]))
        for place, row, unread in read_rows(path, names):
            try:
                if unread:
                    raise ValueError(unread)  # noqa: TRY301
                step = self._step(place, row)
                if before and step.time <= before:
                    raise ValueError(f"{step.time.isoformat()} is not later than the row before")  # noqa: TRY301
            except ValueError as error:
                yield Example(f"{path} {place}", {}, fault=str(error))
            else:
                before = step.time
                yield step

    def _step(self, place: str, row: Mapping[str, Any]) -> Step:
        return Step(
            place,
            self._time([row.get(name) for name in self.time]),
            tuple(self._number(name, row) for name in self.numbers.values()),
            tuple(self._text(name, row) for name in self.texts.values()),
            self._number(self.target, row),
        )

    def _time(self, cells: list[Any]) -> datetime:
        try:
            return parse_time(cells[0]) if len(cells) == 1 else datetime(*map(int, cells))  # type: ignore[arg-type]  # noqa: DTZ001
        except (ValueError, TypeError, OverflowError):
            text = " ".join("" if cell is None else str(cell) for cell in cells)[:40]
            raise ValueError(f"column {', '.join(self.time)} is no time: {text!r}") from None

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
            text = "" if table.is_missing(raw, self.missing) else table.to_text(raw).decode()
        except table.FAILURES:
            raise ValueError(f"column {name} is not of kind bytes: {str(raw)[:40]!r}") from None
        if SEPARATOR in text:
            raise ValueError(f"column {name} holds a comma, which separates the steps of a window: {text[:40]!r}")
        return text

    def _windows(self, path: Path, rows: Iterator[Step | Example], counts: WindowCounts) -> Iterator[Example]:
        ring: deque[Step] = deque(maxlen=self.length + self.horizon)
        since = 0  # steps without a gap
        for row in rows:
            if isinstance(row, Example):
                yield row
                continue
            if ring and not follows(ring[-1].time, row.time, self.step):
                self._gap(ring[-1], row, counts)
                ring.clear()
                since = 0
            ring.append(row)
            since += 1
            counts.steps += 1
            if len(ring) == ring.maxlen and (since - len(ring)) % self.stride == 0:
                yield from self._window(path, list(ring), counts)

    def _gap(self, last: Step, first: Step, counts: WindowCounts) -> None:
        counts.gaps += 1
        if len(counts.first_gaps) < MAX_SHOWN:
            counts.first_gaps.append(f"{first.place}: from {last.time.isoformat()} to {first.time.isoformat()}")

    def _window(self, path: Path, steps: list[Step], counts: WindowCounts) -> Iterator[Example]:
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
        times = {"begins": steps[0].time.isoformat(), "ends": steps[-1].time.isoformat()}
        yield Example(source, {**features, self.label: label}, **times)

    def _no_window(self, path: Path, counts: WindowCounts) -> PipelineError:
        return PipelineError(
            f"{path} has no window of {self.length} and {self.horizon} steps.",
            expected=f"{self.length + self.horizon} rows, targets included, one every {_describe_step(self.step)}",
            received=f"{counts.steps} rows; {counts.gaps} gaps, {counts.passed_over} with a gap in the horizon",
            action="correct step, length, horizon or time in the recipe's data"
            + "".join(f"\n  {gap}" for gap in counts.first_gaps),
        )


def month_count(step: relativedelta) -> int:
    """Returns the number of calendar months of a step.

    Raises:
        ValueError: It is not a number of whole months.
    """
    if step != relativedelta(years=step.years, months=step.months):
        raise ValueError(f"a step is a timedelta or relativedelta(months=...): {step}")
    return 12 * step.years + step.months


def months_between(earlier: datetime, later: datetime) -> int:
    """Returns the number of months between two months; the days do not matter."""
    return 12 * (later.year - earlier.year) + later.month - earlier.month


def follows(earlier: datetime, later: datetime, step: timedelta | relativedelta) -> bool:
    """Returns whether one time is a step after the other."""
    if isinstance(step, timedelta):
        return later - earlier == step
    return months_between(earlier, later) == month_count(step)


def _describe_step(step: timedelta | relativedelta) -> str:
    if isinstance(step, timedelta):
        return str(step)
    return "1 month" if month_count(step) == 1 else f"{month_count(step)} months"


def parse_time(raw: Any) -> datetime:
    """Parses a time; returns it without a zone, in UTC if it has one.

    Args:
        raw: A date or a time, or text: ISO, or as `pipeline.features.dates` reads it.

    Raises:
        ValueError: It is no time; likewise TypeError.
    """
    value = _parse_text(raw) if isinstance(raw, str) else raw
    value = value if isinstance(value, datetime) else datetime.combine(value, time())
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _parse_text(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(dates.iso(text) or text)
