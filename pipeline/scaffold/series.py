"""A recipe over a time series: rows in the order of time, a constant step from one to the next."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from dateutil.relativedelta import relativedelta

from pipeline.errors import PipelineError, UsageError
from pipeline.formats import table
from pipeline.formats.read_table import read_rows
from pipeline.formats.time_series import month_count, months_between, parse_time
from pipeline.scaffold import choices
from pipeline.scaffold.choices import Bounds, rounded
from pipeline.scaffold.profile import FEW, FORECASTING, REGRESSION, USUAL_FAULTS, other
from pipeline.scaffold.render import Code, Plan, identifiers, joined, listed, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.formats.columns import Column

HEAD = ("column", "kind", "missing", "distinct", "used as")
REGULAR = 0.9  # share of the steps that must be the usual one
TRAIN, EVAL = 0.7, 0.85  # shares of the rows at which eval and test begin
FEWEST = 100
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
YEAR = relativedelta(years=1)
BOUNDS = Bounds(
    "",
    "shares by which the error is below that of the last value and of the best naive forecast",
    at_least={"skill": 0.05, "skill_best": 0.02},
    no_worse={"skill": 0.05},
    quick={"skill": 0.0},
)


@dataclass(frozen=True)
class Times:
    """The moments of the rows.

    Attributes:
        column: Of the dates.
        moments: Of all sound rows.
        step: The usual one.
    """

    column: str
    moments: list[datetime]
    step: timedelta | relativedelta


def find(path: Path, columns: Sequence[Column], goal: Column, task: str) -> Times | str:
    """The times of a series, or why the table is none; a few different numbers are classes unless a forecast is asked.

    Raises:
        UsageError: A forecast is asked for and the table does not allow it.
    """
    dated = [column for column in columns if column.date]
    found = _unfit(dated, goal) or _times(path, dated[0].name)
    if isinstance(found, str) and task == FORECASTING:
        raise UsageError(
            f"{path} cannot be forecast.",
            expected="rows in the order of a column of times with a constant step, and a number",
            received=found,
            action=f"mend the file, or predict each row from its other columns with --task {REGRESSION}",
        )
    return "its values are few" if goal.distinct <= FEW and not task else found


def _unfit(dated: list[Column], goal: Column) -> str:
    if goal.kind not in ("int", "float") or goal.constant:
        return f"{plain(goal.name)} holds no numbers that change"
    return "" if dated else "no column of dates"


def _times(path: Path, name: str) -> Times | str:
    moments: list[datetime] = []
    faults = 0
    for _, row, fault in read_rows(path, [name]):
        found = None if fault else _moment(row.get(name))
        if found and (not moments or found > moments[-1]):
            moments.append(found)
        else:
            faults += 1
    if faults > USUAL_FAULTS * (len(moments) + faults):
        return f"{plain(name)} does not rise from row to row"
    return _regular(name, moments)


def _moment(raw: object) -> datetime | None:
    try:
        return parse_time(raw)
    except (ValueError, TypeError):
        return None


def _regular(name: str, moments: list[datetime]) -> Times | str:
    """The usual step, of days or of calendar months, if nearly all are of it."""
    pairs = list(pairwise(moments))
    days = Counter(later - earlier for earlier, later in pairs).most_common(1)
    calendar = Counter(months_between(earlier, later) for earlier, later in pairs).most_common(1)
    for step, count in days + [(relativedelta(months=step), count) for step, count in calendar if step]:
        if count >= REGULAR * len(pairs):
            return Times(name, moments, step)
    return f"{plain(name)} rises by {words(days[0][0])} in {days[0][1] / len(pairs):.0%} of the rows only"


@dataclass(frozen=True)
class Window:
    """Steps of the past, of the forecast, and after which things come round again."""

    length: int
    horizon: int
    season: int


def window(step: timedelta | relativedelta, rows: int) -> Window:
    """The past of some days, weeks or years by the step, as long as the rows allow."""
    wanted = _wanted(step)
    rest = int(rows * (1 - EVAL))
    if 3 * (wanted.length + wanted.horizon) <= rest:  # three windows fit side by side into the test split
        return wanted
    most = max(2 * rest // 3, 2)  # with every step in its last third another window begins
    horizon = min(wanted.horizon, max(most // 6, 1))
    length = min(wanted.length, most - horizon)
    return Window(length, horizon, min(wanted.season, length))


def _wanted(step: timedelta | relativedelta) -> Window:
    if isinstance(step, relativedelta):
        season = max(month_count(YEAR) // month_count(step), 1)
        return Window(max(2 * season, 8), max(season // 2, 1), season)
    if step < HOUR:
        season = max(min(DAY // step, 96), 12)
        return Window(2 * season, max(season // 8, 6), season)
    if step < DAY:
        season = max(DAY // step, 2)
        return Window(7 * season, season, season)
    return Window(28, 7, 7) if step < WEEK else Window(12, 4, 4)


def words(step: timedelta | relativedelta) -> str:
    """A step in words: "an hour", "15 minutes"."""
    if isinstance(step, relativedelta):
        return "a month" if month_count(step) == 1 else f"{month_count(step)} months"
    for unit, one in (("days", DAY), ("hours", HOUR), ("minutes", timedelta(minutes=1))):
        if step % one == timedelta(0):
            count = step // one
            return {1: {"days": "a day", "hours": "an hour", "minutes": "a minute"}[unit]}.get(count, f"{count} {unit}")
    return f"{step.total_seconds():g} seconds"


def source(step: timedelta | relativedelta) -> Code:
    """A step as Python source."""
    if isinstance(step, relativedelta):
        return Code(f"relativedelta(months={month_count(step)})")
    for unit, one in (("days", DAY), ("hours", HOUR), ("minutes", timedelta(minutes=1))):
        if step % one == timedelta(0):
            return Code(f"timedelta({unit}={step // one})")
    return Code(f"timedelta(seconds={step.total_seconds()!r})")


def plan(path: Path, times: Times, columns: Sequence[Column], goal: Column) -> Plan:
    """The recipe of a forecast.

    Raises:
        PipelineError: The series is too short.
    """
    if len(times.moments) < FEWEST:
        raise PipelineError(
            f"{path} is too short to forecast.",
            expected=f"at least {FEWEST} rows",
            received=f"{len(times.moments)}",
            action="collect more, or take a shorter step",
        )
    others = [column for column in columns if _helps(column, goal)]
    called = identifiers([goal.name, *(column.name for column in others), times.column])
    shape = window(times.step, len(times.moments))
    rows = [_row(column, goal, times, others) for column in columns]
    notes = [
        f"{plain(goal.name)} is the target: forecasting, for {plain(times.column)} rises by {words(times.step)}"
        + other(REGRESSION),
        f"{shape.length} steps of the past are seen, {shape.horizon} are forecast: change LENGTH and HORIZON at will.",
    ]
    return Plan("series", _facts(path, times, goal, others, called, shape), HEAD, rows, notes)


def _helps(column: Column, goal: Column) -> bool:
    numeric = column.kind in ("int", "float")
    return numeric and column is not goal and not (column.constant or column.id_like)


def _row(column: Column, goal: Column, times: Times, others: list[Column]) -> tuple[str, ...]:
    uses = {goal.name: "target, and its past", times.column: "time: month, weekday and hour"}
    why = "left out: " + ("constant" if column.constant else "numbers the rows" if column.id_like else "no number")
    used = uses.get(column.name) or ("its past" if column in others else why)
    kind = "date" if column.date else column.kind or "nested"
    return plain(column.name), kind, str(column.missing), str(column.distinct), used


def _facts(
    path: Path, times: Times, goal: Column, others: list[Column], called: dict[str, str], shape: Window
) -> dict[str, Any]:
    known = list(_known(path, goal.name))
    learnt = known[: max(int(TRAIN * len(known)), 2)]
    return {
        **_times_facts(times, called),
        **vars(shape),
        "path": str(path),
        "file": plain(path.name),
        "label": goal.name,
        "target_input": called[goal.name],
        "numbers": {called[column.name]: column.name for column in (goal, *others)},
        "others": tuple(called[column.name] for column in others),
        "diagram": _diagram(times, goal, others, shape),
        "middle": rounded(fmean(learnt)),
        "spread": rounded(pstdev(learnt) or 1.0),
        "classes": (),
        "sizes": choices.choose_sizes(len(times.moments)),
        "rate": 1e-3,
        "bad_share": 0,
        "title": f"The next {shape.horizon} steps of {plain(goal.name)} from {shape.length} steps before.",
        "words": "The gate holds the error against that of repeating the last value, the mean of the window, or the "
        f"season of {shape.season} steps, whichever is best on the test split.",
        "bounds": BOUNDS,
    }


def _times_facts(times: Times, called: dict[str, str]) -> dict[str, Any]:
    return {
        "eval_from": _border(times, TRAIN),
        "test_from": _border(times, EVAL),
        "rows": f"{len(times.moments):,}",
        "step": source(times.step),
        "monthly": isinstance(times.step, relativedelta),
        "step_words": words(times.step),
        "time": times.column,
        "date_input": called[times.column],
    }


def _diagram(times: Times, goal: Column, others: list[Column], shape: Window) -> str:
    past = listed([column.name for column in (goal, *others)], 2)
    return joined(
        [
            (f"{past}, {shape.length} steps", "fill holes, scale ─ hidden layer"),
            (f"{plain(times.column)} of the last step", "month, weekday, hour ─ the same layer"),
            (f"{plain(goal.name)}, {shape.length} steps", "less its last value ─ linear"),
        ],
        f"+ last value ─ ({shape.horizon})",
    )


def _known(path: Path, name: str) -> Iterator[float]:
    """The numbers of a column."""
    for _, row, fault in read_rows(path, [name]):
        raw = row.get(name)
        if not fault and not table.is_missing(raw):
            with suppress(*table.FAILURES):
                number = table.to_value(raw, "float")
                assert isinstance(number, float)
                yield number


def _border(times: Times, share: float) -> str:
    """The day, or for a short series the moment, at which a split begins."""
    moment = times.moments[int(share * len(times.moments))]
    long = times.moments[-1] - times.moments[0] > 60 * DAY
    return moment.date().isoformat() if long else moment.isoformat()
