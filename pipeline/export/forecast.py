"""The signature `forecast`: the history of a series as it lies in a table, in; the next steps with their times, out.

`serving_default` of a forecasting model takes windows of exactly `length` steps. `forecast` takes for each series all
rows that are known, in any order, at least one, and cuts the window itself: a step without a row is missing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from pipeline.export.columns import FORECAST_SIGNATURE, FORECAST_TIME
from pipeline.features import dates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.export.signatures import ServingModel
    from pipeline.tables.calendar import BusinessDays

WEEK = 7
MONDAY_SHIFT = dates.EPOCH_WEEKDAY  # days from a Monday to 1 January 1970


def forecast_endpoint(served: ServingModel) -> dict[str, tuple[Any, list[tf.TensorSpec]]]:
    """Returns the signature of a model over a `TimeSeries`, with its input specification; none for other models.

    Inputs, each (series, rows): the time as text, ISO or as `pipeline.features.dates` reads it, "" where a series has
    fewer rows than another; and each number and text of the recipe, by the name of its input. Outputs, each (series,
    horizon): the model's, and the times of the steps as ISO text.
    """
    data = served.recipe.data
    if not hasattr(data, "horizon"):
        return {}
    time = time_input(data)
    texts = [name for name in data.texts if name != time]
    kinds = {time: tf.string} | dict.fromkeys(data.numbers, tf.float32) | dict.fromkeys(texts, tf.string)

    def forecast(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return _forecast(served, dict(zip(kinds, tensors, strict=True)))

    return {FORECAST_SIGNATURE: (forecast, [tf.TensorSpec([None, None], kind, name) for name, kind in kinds.items()])}


def time_input(data: Any) -> str:
    """Returns the name of the input with the times: that of the column of times, or "time" if it is no input itself."""
    return next((name for name, column in data.texts.items() if (column,) == tuple(data.time)), FORECAST_TIME)


def describe_columns(data: Any) -> dict[str, Any] | None:
    """Returns what a client needs to make requests from a table; None for data that are no series."""
    if not hasattr(data, "horizon"):
        return None
    return {
        "time": list(data.time),
        "time_input": time_input(data),
        "key": list(data.key),
        "order": data.order,
        "numbers": dict(data.numbers),
        "texts": {name: column for name, column in data.texts.items() if name != time_input(data)},
        "target": data.target,
        "length": data.length,
        "horizon": data.horizon,
    }


def _forecast(served: ServingModel, rows: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    data, time = served.recipe.data, time_input(served.recipe.data)
    seconds, known = _read_times(rows[time])
    places = _places(seconds, known, data.step)
    slots = tf.where(known & (places < data.length), data.length - 1 - places, -1)
    raw: dict[str, tf.Tensor] = {
        name: _fill(rows[name], slots, data.length, tf.constant(float("nan"))) for name in data.numbers
    }
    cells = {**rows, time: tf.where(known, dates.to_text(seconds), "")}
    raw |= {
        name: tf.strings.reduce_join(_fill(cells[name], slots, data.length, tf.constant("")), axis=1, separator=",")
        for name in data.texts
    }
    outputs = served.outputs(served.features(raw))
    return {**outputs, FORECAST_TIME: dates.to_text(_next_times(_last(seconds, known), data.step, data.horizon))}


def _read_times(text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns seconds and whether there is a row, each (series, rows); texts that are no times are an error."""
    shape = tf.shape(text)
    flat = tf.reshape(text, [-1])
    seconds, known = dates.epoch_seconds(flat)
    unread = tf.boolean_mask(flat, ~known & (flat != ""))
    tf.debugging.Assert(tf.size(unread) == 0, ["No time, expected such as 2024-01-31 or 2024-01-31T12:00:00:", unread])
    known = tf.reshape(known, shape)
    tf.debugging.Assert(tf.reduce_all(tf.reduce_any(known, axis=1)), ["A series has no row with a time."])
    return tf.reshape(seconds, shape), known


def _last(seconds: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(tf.where(known, seconds, tf.int64.min), axis=1)


def _places(seconds: tf.Tensor, known: tf.Tensor, step: Any) -> tf.Tensor:
    """Returns how many steps each row (series, rows) lies before the last one of its series; -1 between two steps."""
    last = _last(seconds, known)[:, None]
    if isinstance(step, timedelta):
        size = int(step.total_seconds())
        return tf.where((last - seconds) % size == 0, (last - seconds) // size, -1)
    if hasattr(step, "months"):
        size = 12 * step.years + step.months
        months = _month_number(last) - _month_number(seconds)
        return tf.where(months % size == 0, months // size, -1)
    # Business days: as in training, a holiday is no step, so the rows themselves are counted.
    order = tf.argsort(tf.where(known, seconds, tf.int64.min), axis=1, direction="DESCENDING")
    return tf.cast(tf.argsort(order, axis=1), tf.int64)


def _month_number(seconds: tf.Tensor) -> tf.Tensor:
    year, month, _ = dates.calendar_date(seconds // dates.SECONDS)
    return 12 * year + month


def _fill(values: tf.Tensor, slots: tf.Tensor, length: int, missing: tf.Tensor) -> tf.Tensor:
    """Puts values (series, rows) into their slots of windows (series, length); the others are missing."""
    used = tf.where(slots >= 0)
    places = tf.stack([used[:, 0], tf.gather_nd(slots, used)], axis=1)
    empty = tf.fill([tf.shape(values, tf.int64)[0], length], missing)
    return tf.tensor_scatter_nd_update(empty, places, tf.gather_nd(values, used))


def _next_times(last: tf.Tensor, step: Any, horizon: int) -> tf.Tensor:
    """Returns the seconds (series, horizon) of the steps after the last row (series,)."""
    count = tf.range(1, horizon + 1, dtype=tf.int64)[None, :]
    if isinstance(step, timedelta):
        return last[:, None] + count * int(step.total_seconds())
    days, of_day = last[:, None] // dates.SECONDS, last[:, None] % dates.SECONDS
    if hasattr(step, "months"):
        return dates.add_months(days, count * (12 * step.years + step.months)) * dates.SECONDS + of_day
    return _add_business_days(days + MONDAY_SHIFT, step, count) * dates.SECONDS + of_day


def _add_business_days(days: tf.Tensor, step: BusinessDays, count: tf.Tensor) -> tf.Tensor:
    """Returns days since 1970 of days since a Monday, so many business days later: `add_step` as a graph."""
    per_week, passed, weekdays = len(step.weekdays), *(tf.constant(t, tf.int64) for t in (step.passed, step.weekdays))
    number = per_week * (days // WEEK) + tf.gather(passed, days % WEEK) - 1 + count
    return WEEK * (number // per_week) + tf.gather(weekdays, number % per_week) - MONDAY_SHIFT
