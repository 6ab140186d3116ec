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
from pipeline.scaffold.choices import Bounds, round_significant
from pipeline.scaffold.profile import FORECASTING, MAX_INTEGER_CLASSES, REGRESSION, USUAL_FAULTS, other_task_hint
from pipeline.scaffold.render import Code, Plan, draw_diagram, list_names, make_identifiers, safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.formats.columns import Column

COLUMN_HEAD = ("column", "kind", "missing", "distinct", "used as")
MIN_REGULAR_SHARE = 0.9  # share of the steps that must be the usual one
EVAL_START, TEST_START = 0.7, 0.85  # shares of the rows at which eval and test begin
MIN_SERIES_ROWS = 100
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
    """Times of the rows.

    Attributes:
        column: Of the dates.
        moments: Of all sound rows.
        step: The usual one.
    """

    column: str
    moments: list[datetime]
    step: timedelta | relativedelta


def find_times(path: Path, columns: Sequence[Column], goal: Column, task: str) -> Times | str:
    """The times of a series, or why the table is none; few different numbers are classes without --task.

    Raises:
        UsageError: --task is forecasting and the table does not allow it.
    """
    dated = [column for column in columns if column.date]
    times = _reason_against(dated, goal) or _read_times(path, dated[0].name)
    if isinstance(times, str) and task == FORECASTING:
        raise UsageError(
            f"{path} cannot be forecast.",
            expected="rows in the order of a column of times with a constant step, and a number",
            received=times,
            action=f"mend the file, or predict each row from its other columns with --task {REGRESSION}",
        )
    return "its values are few" if goal.distinct <= MAX_INTEGER_CLASSES and not task else times


def _reason_against(dated: list[Column], goal: Column) -> str:
    if goal.kind not in ("int", "float") or goal.constant:
        return f"{safe_name(goal.name)} holds no numbers that change"
    return "" if dated else "no column of dates"


def _read_times(path: Path, name: str) -> Times | str:
    moments: list[datetime] = []
    faults = 0
    for _, row, fault in read_rows(path, [name]):
        current = None if fault else _parse_moment(row.get(name))
        if current and (not moments or current > moments[-1]):
            moments.append(current)
        else:
            faults += 1
    if faults > USUAL_FAULTS * (len(moments) + faults):
        return f"{safe_name(name)} does not rise from row to row"
    return _find_step(name, moments)


def _parse_moment(raw: object) -> datetime | None:
    try:
        return parse_time(raw)
    except (ValueError, TypeError):
        return None


def _find_step(name: str, moments: list[datetime]) -> Times | str:
    """The usual step, of days or of calendar months, if nearly all are of it."""
    pairs = list(pairwise(moments))
    days = Counter(later - earlier for earlier, later in pairs).most_common(1)
    calendar = Counter(months_between(earlier, later) for earlier, later in pairs).most_common(1)
    for step, count in days + [(relativedelta(months=step), count) for step, count in calendar if step]:
        if count >= MIN_REGULAR_SHARE * len(pairs):
            return Times(name, moments, step)
    return f"{safe_name(name)} rises by {step_words(days[0][0])} in {days[0][1] / len(pairs):.0%} of the rows only"


@dataclass(frozen=True)
class Window:
    """Numbers of steps: of the past, of the forecast, and of a season."""

    length: int
    horizon: int
    season: int


def choose_window(step: timedelta | relativedelta, rows: int) -> Window:
    """The past of some days, weeks or years by the step, as long as the rows allow."""
    wanted = _usual_window(step)
    rest = int(rows * (1 - TEST_START))
    if 3 * (wanted.length + wanted.horizon) <= rest:  # three windows fit side by side into the test split
        return wanted
    most = max(2 * rest // 3, 2)  # with every step in its last third another window begins
    horizon = min(wanted.horizon, max(most // 6, 1))
    length = min(wanted.length, most - horizon)
    return Window(length, horizon, min(wanted.season, length))


def _usual_window(step: timedelta | relativedelta) -> Window:
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


def step_words(step: timedelta | relativedelta) -> str:
    """A step in words: "an hour", "15 minutes"."""
    if isinstance(step, relativedelta):
        return "a month" if month_count(step) == 1 else f"{month_count(step)} months"
    for unit, duration in (("days", DAY), ("hours", HOUR), ("minutes", timedelta(minutes=1))):
        if step % duration == timedelta(0):
            count = step // duration
            return {1: {"days": "a day", "hours": "an hour", "minutes": "a minute"}[unit]}.get(count, f"{count} {unit}")
    return f"{step.total_seconds():g} seconds"


def step_source(step: timedelta | relativedelta) -> Code:
    """A step as Python source."""
    if isinstance(step, relativedelta):
        return Code(f"relativedelta(months={month_count(step)})")
    for unit, duration in (("days", DAY), ("hours", HOUR), ("minutes", timedelta(minutes=1))):
        if step % duration == timedelta(0):
            return Code(f"timedelta({unit}={step // duration})")
    return Code(f"timedelta(seconds={step.total_seconds()!r})")


def plan_series(path: Path, times: Times, columns: Sequence[Column], goal: Column) -> Plan:
    """The recipe of a forecast.

    Raises:
        PipelineError: The series is too short.
    """
    if len(times.moments) < MIN_SERIES_ROWS:
        raise PipelineError(
            f"{path} is too short to forecast.",
            expected=f"at least {MIN_SERIES_ROWS} rows",
            received=f"{len(times.moments)}",
            action="collect more, or take a shorter step",
        )
    others = [column for column in columns if _is_useful(column, goal)]
    called = make_identifiers([goal.name, *(column.name for column in others), times.column])
    shape = choose_window(times.step, len(times.moments))
    rows = [_column_row(column, goal, times, others) for column in columns]
    notes = [
        f"{safe_name(goal.name)} is the target: forecasting, "
        f"for {safe_name(times.column)} rises by {step_words(times.step)}" + other_task_hint(REGRESSION),
        f"{shape.length} steps of the past are seen, {shape.horizon} are forecast: change LENGTH and HORIZON at will.",
    ]
    return Plan("series", _series_facts(path, times, goal, others, called, shape), COLUMN_HEAD, rows, notes)


def _is_useful(column: Column, goal: Column) -> bool:
    numeric = column.kind in ("int", "float")
    return numeric and column is not goal and not (column.constant or column.id_like)


def _column_row(column: Column, goal: Column, times: Times, others: list[Column]) -> tuple[str, ...]:
    uses = {goal.name: "target, and its past", times.column: "time: month, weekday and hour"}
    why = "left out: " + ("constant" if column.constant else "numbers the rows" if column.id_like else "no number")
    used = uses.get(column.name) or ("its past" if column in others else why)
    kind = "date" if column.date else column.kind or "nested"
    return safe_name(column.name), kind, str(column.missing), str(column.distinct), used


def _series_facts(
    path: Path, times: Times, goal: Column, others: list[Column], called: dict[str, str], shape: Window
) -> dict[str, Any]:
    known = list(_read_numbers(path, goal.name))
    learnt = known[: max(int(EVAL_START * len(known)), 2)]
    return {
        **_times_facts(times, called),
        **vars(shape),
        "path": str(path),
        "file": safe_name(path.name),
        "label": goal.name,
        "target_input": called[goal.name],
        "numbers": {called[column.name]: column.name for column in (goal, *others)},
        "others": tuple(called[column.name] for column in others),
        "diagram": _series_diagram(times, goal, others, shape),
        "middle": round_significant(fmean(learnt)),
        "spread": round_significant(pstdev(learnt) or 1.0),
        "classes": (),
        "sizes": choices.choose_sizes(len(times.moments)),
        "rate": 1e-3,
        "bad_share": 0,
        "title": f"The next {shape.horizon} steps of {safe_name(goal.name)} from {shape.length} steps before.",
        "words": "The gate holds the error against that of repeating the last value, the mean of the window, or the "
        f"season of {shape.season} steps, whichever is best on the test split.",
        "bounds": BOUNDS,
    }


def _times_facts(times: Times, called: dict[str, str]) -> dict[str, Any]:
    return {
        "eval_from": _split_start(times, EVAL_START),
        "test_from": _split_start(times, TEST_START),
        "rows": f"{len(times.moments):,}",
        "step": step_source(times.step),
        "monthly": isinstance(times.step, relativedelta),
        "step_words": step_words(times.step),
        "time": times.column,
        "date_input": called[times.column],
    }


def _series_diagram(times: Times, goal: Column, others: list[Column], shape: Window) -> str:
    past = list_names([column.name for column in (goal, *others)], 2)
    return draw_diagram(
        [
            (f"{past}, {shape.length} steps", "fill holes, scale ─ hidden layer"),
            (f"{safe_name(times.column)} of the last step", "month, weekday, hour ─ the same layer"),
            (f"{safe_name(goal.name)}, {shape.length} steps", "less its last value ─ linear"),
        ],
        f"+ last value ─ ({shape.horizon})",
    )


def _read_numbers(path: Path, name: str) -> Iterator[float]:
    """The numbers of a column."""
    for _, row, fault in read_rows(path, [name]):
        raw = row.get(name)
        if not fault and not table.is_missing(raw):
            with suppress(*table.FAILURES):
                number = table.to_value(raw, "float")
                assert isinstance(number, float)
                yield number


def _split_start(times: Times, share: float) -> str:
    """The day, or for a short series the moment, at which a split begins."""
    moment = times.moments[int(share * len(times.moments))]
    long = times.moments[-1] - times.moments[0] > 60 * DAY
    return moment.date().isoformat() if long else moment.isoformat()
