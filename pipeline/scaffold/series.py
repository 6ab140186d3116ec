"""A recipe over time series: a column of times, a constant step from one row to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean, median, pstdev
from typing import TYPE_CHECKING, Any

from dateutil.relativedelta import relativedelta

from pipeline.errors import PipelineError, UsageError
from pipeline.formats.time_series import TimeSeries
from pipeline.scaffold import baseline, choices, outliers, profile, timeline
from pipeline.scaffold.choices import Bounds, round_significant
from pipeline.scaffold.render import Code, Plan, draw_diagram, list_names, safe_name, step_class, step_source
from pipeline.scaffold.target import FORECASTING, MAX_INTEGER_CLASSES, REGRESSION, other_task_hint
from pipeline.scaffold.timeline import Times
from pipeline.tables.calendar import BusinessDays, Step, describe_step, month_count
from pipeline.tables.names import make_identifiers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.formats.columns import Column
    from pipeline.scaffold.outliers import Limits
    from pipeline.tables.dialect import Dialect

COLUMN_HEAD = ("column", "kind", "missing", "distinct", "used as")
EVAL_START, TEST_START = 0.7, 0.85  # shares of the rows at which eval and test begin
PARTS = (0.4, 0.55, EVAL_START, TEST_START)  # between what a standard model is measured; the test is not looked at
MAX_NUMBERS = 2_000_000  # of all windows that it gets
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


def find_times(
    path: Path, columns: Sequence[Column], goal: Column, task: str, dialect: Dialect | None = None
) -> Times | str:
    """The times of a series, or why the table is none; few different numbers are classes without --task.

    Raises:
        UsageError: --task is forecasting and the table does not allow it.
    """
    times = _reason_against(goal) or _read_times(path, columns, goal, dialect)
    if isinstance(times, str) and task == FORECASTING:
        raise UsageError(
            f"{path} cannot be forecast.",
            expected="rows in the order of a column of times with a constant step, and a number",
            received=times,
            action=f"mend the file, times as {timeline.WRITTEN}, or predict each row alone with --task {REGRESSION}",
        )
    return "its values are few" if goal.distinct <= MAX_INTEGER_CLASSES and not task else times


def _reason_against(goal: Column) -> str:
    changes = goal.kind in ("int", "float") and not goal.constant
    return "" if changes else f"{safe_name(goal.name)} holds no numbers that change"


def _read_times(path: Path, columns: Sequence[Column], goal: Column, dialect: Dialect | None) -> Times | str:
    """Returns the times of the first column that has some with a constant step, or why there is none."""
    reason = ""
    for name, order in timeline.find_time_columns(path, columns, dialect):
        times = timeline.read_times(path, columns, goal.name, name, order, dialect)
        if isinstance(times, Times):
            return times
        reason = reason or times
    return reason or timeline.describe_unread(columns)


@dataclass(frozen=True)
class Window:
    """Numbers of steps: of the past, of the forecast, and of a season."""

    length: int
    horizon: int
    season: int


def choose_window(step: Step, rows: int) -> Window:
    """The past of some days, weeks or years by the step, as long as the rows allow."""
    wanted = _usual_window(step)
    rest = int(rows * (1 - TEST_START))
    if 3 * (wanted.length + wanted.horizon) <= rest:  # three windows fit side by side into the test split
        return wanted
    most = max(2 * rest // 3, 2)  # with every step in its last third another window begins
    horizon = min(wanted.horizon, max(most // 6, 1))
    length = min(wanted.length, most - horizon)
    return Window(length, horizon, min(wanted.season, length))


def _usual_window(step: Step) -> Window:
    if isinstance(step, relativedelta):
        season = max(month_count(YEAR) // month_count(step), 1)
        return Window(max(2 * season, 8), max(season // 2, 1), season)
    if isinstance(step, BusinessDays):
        week = len(step.weekdays)
        return Window(4 * week, week, week)
    if step < HOUR:
        season = max(min(DAY // step, 96), 12)
        return Window(2 * season, max(season // 8, 6), season)
    if step < DAY:
        season = max(DAY // step, 2)
        return Window(7 * season, season, season)
    return Window(28, 7, 7) if step < WEEK else Window(12, 4, 4)


def plan_series(path: Path, times: Times, columns: Sequence[Column], goal: Column, choice: str = "") -> Plan:
    """The recipe of a forecast.

    Args:
        path: The table.
        times: Its times.
        columns: Its columns.
        goal: The target.
        choice: By what it was chosen; empty if the user has named it.

    Raises:
        PipelineError: The series is too short.
    """
    if times.length < MIN_SERIES_ROWS:
        raise PipelineError(
            f"{path} is too short to forecast.",
            expected=f"at least {MIN_SERIES_ROWS} rows" + " in most of the series" * bool(times.key),
            received=f"{times.length}",
            action=f"collect more, take a shorter step, or predict each row alone with --task {REGRESSION}",
        )
    others = [column for column in columns if _is_useful(column, goal, times)]
    numbers = timeline.read_numbers(path, [column.name for column in (goal, *others)], times)
    values = {name: [value for _, value in timed] for name, timed in numbers.items()}
    outliers.require_fine_changes(goal.name, values.pop(goal.name))
    lost = outliers.find_lost(values)
    others = [column for column in others if column.name not in lost]
    called = make_identifiers([goal.name, *(column.name for column in others), times.column])
    shape = choose_window(times.step, times.length)
    rows = [_column_row(column, goal, times, others, lost.get(column.name, "")) for column in columns]
    used = (goal.name, *(column.name for column in others))
    far = {name: outliers.find_limits([value for _, value in numbers[name]]) for name in used}
    notes = [
        f"{safe_name(goal.name)} is the target: forecasting, "
        f"for {safe_name(times.column)} rises by {describe_step(times.step)}{other_task_hint(REGRESSION)}"
        + (f"; {choice}." if choice else "."),
        f"{shape.length} steps of the past are seen, {shape.horizon} are forecast: change LENGTH and HORIZON at will.",
        *timeline.describe_times(times),
        *_far_notes(far, goal.name),
    ]
    facts = _series_facts(path, times, goal, others, called, shape) | _measure_target(
        numbers[goal.name], times, far[goal.name]
    )
    return Plan("series", facts, COLUMN_HEAD, rows, notes)


def _is_useful(column: Column, goal: Column, times: Times) -> bool:
    numeric = column.kind in ("int", "float")
    taken = column is goal or column.name in (times.column, *times.key)
    return numeric and not taken and not (column.constant or column.id_like or column.time_form)


def _column_row(column: Column, goal: Column, times: Times, others: list[Column], lost: str = "") -> tuple[str, ...]:
    uses = {goal.name: "target, and its past", times.column: "time: month, weekday and hour"}
    uses |= dict.fromkeys(times.key, "names the series") | {other.name: "its past" for other in others}
    reasons = {"constant": column.constant, "times": column.time_form, "numbers the rows": column.id_like}
    why = lost or "left out: " + next((reason for reason, holds in reasons.items() if holds), "no number")
    kind = "date" if column.date or column.name == times.column else column.kind or "nested"
    use = uses[column.name] + profile.describe_odd(column) if column.name in uses else why
    return safe_name(column.name), kind, str(column.missing), str(column.distinct), use


def _series_facts(
    path: Path, times: Times, goal: Column, others: list[Column], called: dict[str, str], shape: Window
) -> dict[str, Any]:
    return {
        **_times_facts(times, called),
        **vars(shape),
        "path": str(path),
        "dialect": times.dialect,
        "file": safe_name(path.name),
        "label": goal.name,
        "target_input": called[goal.name],
        "renamed": {new: old for old, new in called.items() if old != new},
        "numbers": {called[column.name]: column.name for column in (goal, *others)},
        "others": tuple(called[column.name] for column in others),
        "diagram": _series_diagram(times, goal, others, shape),
        "classes": (),
        "sizes": choices.choose_sizes(len(times.moments)),
        "rate": 1e-3,
        **profile.share_facts(times.passed_over),
        "title": f"The next {shape.horizon} steps of {safe_name(goal.name)} from {shape.length} steps before.",
        "words": f"Naive forecasts: last value, mean of the window, {shape.season} steps ago, always the median.",
        "bounds": _measure_bounds(path, times, goal, others, shape),
    }


def _measure_bounds(path: Path, times: Times, goal: Column, others: list[Column], shape: Window) -> Bounds:
    """Returns the bounds by what a linear autoregression reaches before the test split begins."""
    from pipeline.baseline import rolling

    numbers = {column.name: column.name for column in (goal, *others)}
    data = TimeSeries(
        str(path),
        (times.column,),
        times.step,
        goal.name,
        numbers,
        length=shape.length,
        horizon=shape.horizon,
        stride=choose_stride(times, len(numbers), shape),
        key=times.key,
        order=times.order,
        sort=not times.is_sorted,
        dialect=times.dialect,
    )
    windows = rolling.gather_windows(data.examples(path.parent), list(numbers), data.label)
    borders = [times.moments[int(share * len(times.moments))] for share in PARTS]
    return baseline.series_bounds(BOUNDS, rolling.roll(windows, goal.name, shape.season, borders))


def choose_stride(times: Times, inputs: int, shape: Window) -> int:
    """Returns of how many windows one is enough; it has no common factor with the season, or all would begin alike.

    Args:
        times: The times.
        inputs: Inputs that are numbers.
        shape: The windows.
    """
    stride = max(times.series * times.length * inputs * (shape.length + shape.horizon) // MAX_NUMBERS, 1)
    while math.gcd(stride, shape.season) > 1:
        stride += 1
    return stride


def _times_facts(times: Times, called: dict[str, str]) -> dict[str, Any]:
    return {
        "eval_from": _split_start(times, EVAL_START),
        "test_from": _split_start(times, TEST_START),
        "rows": f"{len(times.moments):,}",
        "series": f" of {times.series:,} series" if times.key else "",
        "step": Code(step_source(times.step)),
        "step_name": step_class(times.step),
        "key": times.key,
        "order": times.order,
        "sort": not times.is_sorted,
        "step_words": describe_step(times.step),
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


def _far_notes(far: Mapping[str, Limits | None], target: str) -> list[str]:
    """Says which columns have values far from all others: they are learnt from as they are."""
    passed = {target: "; MEAN, MEDIAN and DEVIATION pass over them"}
    return [f"{limits.tell(name)}{passed.get(name, '')}. {limits.advice}." for name, limits in far.items() if limits]


def _measure_target(timed: list[tuple[datetime, float]], times: Times, far: Limits | None) -> dict[str, float]:
    """The size and the spread of the values that are learnt from, without those far from all others."""
    end = times.moments[int(EVAL_START * len(times.moments))]
    learnt = [value for moment, value in timed if moment < end and (far is None or far.low <= value <= far.high)]
    spread = round_significant(pstdev(learnt) or 1.0)
    middle, half = outliers.round_middle(fmean(learnt), spread), outliers.round_middle(median(learnt), spread)
    return {"middle": middle, "median": half, "spread": spread}


def _split_start(times: Times, share: float) -> str:
    """The day, or for a short series the moment, at which a split begins."""
    moment = times.moments[int(share * len(times.moments))]
    long = times.moments[-1] - times.moments[0] > 60 * DAY
    return moment.date().isoformat() if long else moment.isoformat()
