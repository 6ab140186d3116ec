"""When the rows of a table are time series: a column of times, a constant step, columns that name the series."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dateutil.relativedelta import relativedelta

from pipeline.features.dates import iso
from pipeline.formats import table
from pipeline.formats.base import fault_kind
from pipeline.formats.read_table import read_rows
from pipeline.scaffold.profile import USUAL_FAULTS, describe_faults
from pipeline.scaffold.render import list_names, safe_name
from pipeline.tables import row_order
from pipeline.tables.calendar import (
    ORDERS,
    BusinessDays,
    Step,
    are_times,
    describe_step,
    find_business_days,
    follows,
    has_zone,
    months_between,
    parse_moment,
)
from pipeline.tables.time_forms import describe_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.formats.columns import Column
    from pipeline.tables.dialect import Dialect

MIN_REGULAR_SHARE = 0.9  # share of the steps that must be the usual one
TRIED_ROWS = 500  # of a column, to see whether it holds times
WRITTEN = "2024-01-31 or 2024-01-31 17:30"
MIN_SERIES_LENGTH = 10  # rows of each series, on average
FEW_ROWS = 2  # with a time that came before, or in another order, which make no other table of a series
MAX_NAMES = 4  # columns that may name a series


@dataclass(frozen=True)
class Times:
    """The times of a table's rows.

    Attributes:
        column: The column of times.
        moments: All different ones, ascending.
        step: The usual step from one row of a series to the next.
        order: How dates with slashes are written: "month first", "day first"; empty for others.
        key: The columns that name the series; empty for one series.
        series: Number of series.
        length: Rows of the middle one by length.
        is_sorted: Whether the rows of each series are in the order of time.
        dialect: How a CSV file is written, as far as the user has said.
        unusable: What is said of the rows that cannot be used.
        order_of_rows: Which rows are not later than the row before.
        passed_over: Share of the rows that a run cannot use, for their time or their order.
    """

    column: str
    moments: list[datetime]
    step: Step
    order: str = ""
    key: tuple[str, ...] = ()
    series: int = 1
    length: int = 0
    is_sorted: bool = True
    dialect: Dialect | None = None
    unusable: tuple[str, ...] = ()
    order_of_rows: row_order.RowOrder = field(default_factory=row_order.RowOrder)
    passed_over: float = 0.0


def find_time_columns(path: Path, columns: Sequence[Column], dialect: Dialect | None = None) -> list[tuple[str, str]]:
    """Returns the columns of times, each with an order in which its dates can be read; see `parse_time`."""
    dated = [(column.name, "") for column in columns if column.date]
    others = [c for c in columns if c.kind in ("bytes", "int") and not (c.date or c.constant)]
    rows = list(itertools.islice(read_rows(path, [column.name for column in others], dialect), TRIED_ROWS))
    for column in others:
        present = [cells.get(column.name) for _, cells, fault in rows if not fault]
        cells = [cell for cell in present if not table.is_missing(cell)]
        orders = ("",) if column.kind == "int" else ("", *ORDERS)
        dated += [(column.name, order) for order in orders if cells and are_times(cells, order)]
    return dated


def read_times(
    path: Path, columns: Sequence[Column], target: str, name: str, order: str, dialect: Dialect | None = None
) -> Times | str:
    """Returns the times of a column, or why its rows are no series.

    Args:
        path: The table.
        columns: Its columns.
        target: The column to forecast.
        name: The column of times.
        order: How its dates are written.
        dialect: How a CSV file is written.
    """
    candidates = [column.name for column in columns if _may_name_series(column, {name, target})][:MAX_NAMES]
    moments, names, faults = _read_moments(path, name, order, candidates, dialect)
    if len(faults) > USUAL_FAULTS * (len(moments) + len(faults)):
        return f"{len(faults):,} cells of {safe_name(name)} are no times"
    kinds = Counter(map(fault_kind, faults.values()))
    first = next((f"{place}: {fault}" for place, fault in faults.items()), "")
    unusable = tuple(describe_faults(len(moments), len(faults), first, kinds))
    reason = ""
    for size in range(min(len(candidates), 2) + 1):
        for chosen in itertools.combinations(range(len(candidates)), size):
            keys = [tuple(row[place] for place in chosen) for row in names]
            times = _make_times(name, order, tuple(candidates[place] for place in chosen), moments, keys)
            if isinstance(times, Times):
                words = (*_describe_zone(path, name, dialect), *_describe_order(path, times, dialect), *unusable)
                return _count_passed_over(replace(times, dialect=dialect, unusable=words), len(moments), len(faults))
            reason = reason or times
    return reason


def _describe_zone(path: Path, name: str, dialect: Dialect | None) -> tuple[str, ...]:
    """Says in which zone times with offsets are read; nothing where they have none."""
    rows = itertools.islice(read_rows(path, [name], dialect), TRIED_ROWS)
    zoned = any(has_zone(cells.get(name)) for _, cells, fault in rows if not fault)
    words = f"The times of {safe_name(name)} have offsets: they are read in UTC, and forecasts are dated in UTC"
    return (f"{words}; rows without an offset are taken to be in UTC, too.",) * zoned


def _count_passed_over(times: Times, rows: int, faults: int) -> Times:
    order = times.order_of_rows
    lost = faults + order.repeated + (order.late if times.is_sorted else 0)
    return replace(times, passed_over=lost / (rows + faults))


def _describe_order(path: Path, times: Times, dialect: Dialect | None) -> Iterator[str]:
    """Says which rows a run passes over for their order; nothing where there are none."""
    order = times.order_of_rows
    if order.repeated:
        yield order.describe_repeated(_find_place(path, times, order.first_repeated, dialect))
        if isinstance(times.step, timedelta) and times.step < timedelta(days=1):
            yield "Where a clock was set back, write offsets to keep both hours: 02:30+02:00 and 02:30+01:00."
    if order.late and times.is_sorted:
        yield order.describe_late(_find_place(path, times, order.first_late, dialect))


def _find_place(path: Path, times: Times, number: int, dialect: Dialect | None) -> str:
    """The place in the file of a row by its number among those with a time."""
    rows = read_rows(path, [times.column], dialect)
    places = (place for place, cells, fault in rows if not fault and parse_moment(cells.get(times.column), times.order))
    return next(itertools.islice(places, number, None))


def _may_name_series(column: Column, others: set[str]) -> bool:
    """Whether a column repeats few enough names: of shops, of sensors; the hour of a day is none."""
    enough = 1 < column.distinct <= column.rows / MIN_SERIES_LENGTH and column.kind in ("bytes", "int")
    is_time = column.date or column.time_form or column.time_part
    return enough and not is_time and column.name not in others


def _read_moments(
    path: Path, name: str, order: str, names: list[str], dialect: Dialect | None
) -> tuple[list[datetime], list[tuple[Any, ...]], dict[str, str]]:
    """Returns the rows that have a time, their names of a series, and by place why the others cannot be used."""
    moments, keys, faults = list[datetime](), list[tuple[Any, ...]](), dict[str, str]()
    for place, cells, fault in read_rows(path, [name, *names], dialect):
        moment = None if fault else parse_moment(cells.get(name), order)
        if moment is None:
            faults[place] = fault or f"{safe_name(name)} is no time: {safe_name(str(cells.get(name)))}"
        else:
            moments.append(moment)
            keys.append(tuple(cells.get(column) for column in names))
    return moments, keys, faults


def read_numbers(path: Path, names: Sequence[str], times: Times) -> dict[str, list[tuple[datetime, float]]]:
    """Returns the numbers of columns, each with the time of its row."""
    numbers: dict[str, list[tuple[datetime, float]]] = {name: [] for name in names}
    for _, cells, fault in read_rows(path, [*names, times.column], times.dialect):
        moment = None if fault else parse_moment(cells.get(times.column), times.order)
        if moment is None:
            continue
        for name, timed in numbers.items():
            with suppress(*table.FAILURES):
                number = None if table.is_missing(cells.get(name)) else table.to_value(cells.get(name), "float")
                if isinstance(number, float):
                    timed.append((moment, number))
    return numbers


def _make_times(
    name: str, order: str, key: tuple[str, ...], moments: list[datetime], keys: list[tuple[Any, ...]]
) -> Times | str:
    series: dict[tuple[Any, ...], list[datetime]] = defaultdict(list)
    for moment, values in zip(moments, keys, strict=True):
        series[values].append(moment)
    ordered = {values: sorted(set(rows)) for values, rows in series.items()}
    rows = row_order.check_order(moments, keys)
    if rows.repeated > max(USUAL_FAULTS * len(moments), FEW_ROWS):
        again = f"{safe_name(name)} has the same time in {rows.repeated:,} rows"
        return f"{again}; no column names series within which it rises"
    pairs = [pair for rows in ordered.values() for pair in pairwise(rows)]
    step = _find_step(pairs)
    if isinstance(step, str):
        return f"{safe_name(name)} {step}"
    lengths = sorted(map(len, ordered.values()))
    return Times(
        name,
        sorted(set(moments)),
        step,
        order,
        key,
        len(series),
        lengths[len(lengths) // 2],
        # A few rows out of order are faults of these rows, and no reason to sort all of them.
        is_sorted=rows.late <= max(USUAL_FAULTS * len(moments), FEW_ROWS),
        order_of_rows=rows,
    )


def _find_step(pairs: list[tuple[datetime, datetime]]) -> Step | str:
    """Returns the usual step: a duration, business days, or calendar months; or in words what there is instead."""
    if not pairs:
        return "has one row in each series"
    durations = Counter(later - earlier for earlier, later in pairs).most_common(1)
    months = Counter(months_between(earlier, later) for earlier, later in pairs).most_common(1)
    steps: list[Step] = [duration for duration, _ in durations]
    business_days = find_business_days(later for _, later in pairs)
    steps += [business_days] if business_days else []
    steps += [relativedelta(months=count) for count, _ in months if count]
    for step in steps:
        if sum(follows(*pair, step) for pair in pairs) >= MIN_REGULAR_SHARE * len(pairs):
            return step
    duration, count = durations[0]
    share = f"{count / len(pairs):.0%}" if 100 * count >= len(pairs) else "less than 1%"
    return f"rises by {describe_step(duration)} in {share} of the rows only"


def describe_times(times: Times) -> list[str]:
    """Returns what is special about the times of a table, one sentence each."""
    notes, name = [], safe_name(times.column)
    if times.key:
        names = list_names(list(times.key))
        notes.append(f"{names} names {times.series:,} series, half of them of {times.length:,} rows or more.")
    if not times.is_sorted:
        notes.append(f"The file has its rows in another order: a run sorts them by {name}, in memory.")
    if times.order:
        notes.append(f"{name} is read {times.order}.")
    if isinstance(times.step, BusinessDays):
        notes.append(f"Business days are {times.step.week}; up to four of them without a row are no gap.")
    return [*notes, *times.unusable]


def describe_unread(columns: Sequence[Column]) -> str:
    """Returns why there are no times: they are in a form that is not read, or there is no column of them."""
    forms = [f"{safe_name(c.name)} holds times such as {safe_name(c.time_form)}" for c in columns if c.time_form]
    apart = "".join(f"; {words.partition(':')[0]}" for words in _describe_apart(columns))
    return f"{list_names(forms, 1)}, which are not read" if forms else f"no column of dates{apart}"


def _describe_apart(columns: Sequence[Column]) -> list[str]:
    parts = {safe_name(column.name): column.time_part for column in columns if column.time_part}
    return describe_parts(parts, [safe_name(column.name) for column in columns if column.date])


def note_unread(columns: Sequence[Column]) -> list[str]:
    """Says that rows with times that are not read, or that several columns tell, are split by hash; and what to do."""
    names = list_names([column.name for column in columns if column.time_form])
    words = f"The times in {names} are in a form that is not read, so the rows are split by hash, not by time"
    words = f"{words}; write {WRITTEN}: then they may be a series, or split by time."
    return _describe_apart(columns) + [words] * bool(names)


def describe_split(columns: Mapping[str, Iterable[bytes]], validated: float, tested: float) -> list[str]:
    """Says that rows with times are split by hash, and what splits them by time; nothing of columns with few times.

    Args:
        columns: The columns of times in a sample of rows, dates as `pipeline.features.dates` reads them.
        validated: Share of the rows for validation.
        tested: Share of the rows for test.
    """
    notes = []
    for name, cells in columns.items():
        times = sorted(filter(None, (iso(cell.decode(errors="replace")) for cell in cells)))
        if len(set(times)) >= MIN_SERIES_LENGTH:
            firsts = (times[int((1 - share) * len(times))] for share in (validated + tested, tested))
            begins = (first.removesuffix("T00:00:00") for first in firsts)
            split = 'split=Time(eval_from="{}", test_from="{}")'.format(*begins)
            action = f"to test on the newest rows, write time={name!r} in DATA and {split}"
            notes.append(f"The rows are split by hash, not by {safe_name(name)}; {action}.")
    return notes
