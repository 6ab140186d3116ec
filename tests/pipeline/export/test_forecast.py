"""The signature `forecast`: rows of a table in, the next steps with their times out."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.export import forecast, signatures
from pipeline.features import dates
from pipeline.formats.time_series import TimeSeries
from pipeline.recipe import Recipe
from pipeline.tables.calendar import BusinessDays, add_step

pytestmark = pytest.mark.heavy

LENGTH, HORIZON = 5, 3
STEPS = (
    *(timedelta(days=1), timedelta(minutes=15), timedelta(weeks=1), relativedelta(months=1)),
    *(BusinessDays(week=week) for week in ("Mon Tue Wed Thu Fri", "Mon Tue Wed Thu Fri Sat", "Mon Thu", "Mon Sun")),
)
START = datetime.fromisoformat("2023-11-27T10:30:00")  # a Monday


@functools.cache
def endpoint(step=STEPS[0], texts=("date", "weather")):
    """A model that answers with its windows, as a function of arrays by input."""
    columns = {name: "day" if name == "date" else name for name in texts}
    data = TimeSeries("t.csv", ("day",), step, "sold", {"past": "sold"}, columns, length=LENGTH, horizon=HORIZON)
    recipe = Recipe(data=data, params=None, preprocess=None, build=None, outputs=lambda _, features: features)
    spec = {name: tf.io.FixedLenFeature((LENGTH,), tf.float32) for name in data.numbers}
    spec |= {name: tf.io.FixedLenFeature((), tf.string) for name in data.texts}
    served = signatures.ServingModel(recipe, SimpleNamespace(), lambda raw: raw, spec)
    function, inputs = forecast.forecast_endpoint(served)["forecast"]
    assert all([None, None] == spec.shape.as_list() for spec in inputs)
    graph = tf.function(function, input_signature=inputs)

    def ask(**arrays):
        return {name: value.numpy() for name, value in graph(*(arrays[spec.name] for spec in inputs)).items()}

    return ask


def history(moments, values):
    texts = [moment.isoformat() for moment in moments]
    return {"date": [texts], "past": [values], "weather": [[f"w{value:g}" for value in values]]}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("rows", [1, 3, LENGTH, 9])
def test_the_window_is_the_end_of_the_rows_and_the_next_steps_have_times(step, rows):
    moments = [add_step(START, step, number) for number in range(rows + HORIZON)]
    answer = endpoint(step)(**history(moments[:rows], [float(number) for number in range(rows)]))
    expected = [np.nan] * (LENGTH - rows) + [float(number) for number in range(rows)][-LENGTH:]
    np.testing.assert_array_equal([expected], answer["past"])
    assert [moment.isoformat().encode() for moment in moments[rows:]] == answer["time"][0].tolist()
    cells = ["" if np.isnan(value) else f"w{value:g}" for value in expected]
    assert ",".join(cells).encode() == answer["weather"][0]
    assert answer["date"][0].split(b",")[-1].decode() == moments[rows - 1].isoformat()


@pytest.mark.parametrize("step", STEPS)
@given(st.randoms(use_true_random=False))
@settings(max_examples=5)
def test_the_order_of_the_rows_says_nothing(step, randomness):
    moments = [add_step(START, step, number) for number in range(9)]
    rows = list(zip(moments, map(float, range(9)), strict=True))
    ask = endpoint(step)
    expected = ask(**history(*zip(*rows, strict=True)))
    randomness.shuffle(rows)
    for name, values in ask(**history(*zip(*rows, strict=True))).items():
        np.testing.assert_array_equal(expected[name], values, err_msg=name)


@pytest.mark.parametrize("step", STEPS[:4])
def test_a_step_without_a_row_is_missing(step):
    moments = [add_step(START, step, number) for number in (0, 1, 3, 4)]
    answer = endpoint(step)(**history(moments, [0.0, 1.0, 3.0, 4.0]))
    np.testing.assert_array_equal([[0, 1, np.nan, 3, 4]], answer["past"])
    assert b"w0,w1,,w3,w4" == answer["weather"][0]


def test_a_holiday_is_no_step_of_business_days():
    moments = [add_step(START, BusinessDays(), number) for number in (0, 1, 2, 4, 5, 6)]
    answer = endpoint(BusinessDays())(**history(moments, [0.0, 1.0, 2.0, 4.0, 5.0, 6.0]))
    np.testing.assert_array_equal([[1, 2, 4, 5, 6]], answer["past"])


def test_series_of_different_length_are_padded():
    long, short = ([add_step(START, STEPS[0], number).isoformat() for number in range(rows)] for rows in (4, 2))
    answer = endpoint()(
        date=[long, [*short, "", ""]],
        past=[[0.0, 1, 2, 3], [7, 8, np.nan, np.nan]],
        weather=[["a"] * 4, ["b", "b", "", ""]],
    )
    np.testing.assert_array_equal([[np.nan, 0, 1, 2, 3], [np.nan, np.nan, np.nan, 7, 8]], answer["past"])
    assert [b",a,a,a,a", b",,,b,b"] == answer["weather"].tolist()


def test_months_end_with_the_month():
    moments = [datetime.fromisoformat(text) for text in ("2023-10-31", "2023-11-30")]
    answer = endpoint(STEPS[3], ("date",))(date=[[m.isoformat() for m in moments]], past=[[1.0, 2.0]])
    assert [b"2023-12-30", b"2024-01-30", b"2024-02-29"] == [text[:10] for text in answer["time"][0]]


@pytest.mark.parametrize(("cells", "words"), [(["2024-01-31", "soon"], "soon"), (["", ""], "no row with a time")])
def test_what_is_no_time_is_an_error(cells, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        endpoint(texts=())(time=[cells], past=[[1.0, 2.0]])


def test_a_time_that_is_no_input_is_called_time():
    answer = endpoint(texts=())(time=[["2024-02-28 10:00", "2024-02-29 10:00"]], past=[[1.0, 2.0]])
    assert b"2024-03-01T10:00:00" == answer["time"][0, 0]


EPOCH = datetime.fromisoformat("1970-01-01")
DAYS = st.integers(-25_000, 47_000)  # 1901 to 2098


@given(st.lists(st.integers(-60_000_000_000, 60_000_000_000), min_size=1))
@settings(max_examples=20)
def test_times_are_written_as_they_are_read(seconds):
    text = dates.to_text(tf.constant(seconds, tf.int64))
    assert [(EPOCH + timedelta(seconds=n)).isoformat().encode() for n in seconds] == text.numpy().tolist()
    found, known = dates.epoch_seconds(text)
    assert (seconds, True) == (found.numpy().tolist(), known.numpy().all())


@given(st.lists(DAYS, min_size=1), st.integers(0, 500))
@settings(max_examples=20)
def test_months_are_added_as_dateutil_does(days, count):
    later = dates.add_months(tf.constant(days, tf.int64), tf.constant(count, tf.int64)).numpy()
    expected = [EPOCH + timedelta(days=number) + relativedelta(months=count) for number in days]
    assert expected == [EPOCH + timedelta(days=int(number)) for number in later]
