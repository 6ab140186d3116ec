"""Time series: when a table is one, and how it is cut into windows."""

from __future__ import annotations

import json
import math
import random
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from pipeline.errors import PipelineError, UsageError
from pipeline.recipes import catalog
from pipeline.scaffold import inspect, render
from pipeline.scaffold.series import MAX_NUMBERS, TEST_START, choose_stride, choose_window
from pipeline.scaffold.timeline import Times
from pipeline.tables.calendar import describe_step
from pipeline.tables.dialect import Dialect


def test_rising_dates_make_a_series(drafted, write_csv, series):
    found = drafted(write_csv(series), "sold")
    assert "series" == found.plan.template
    assert "sold is the target: forecasting" in found.plan.notes[0]
    assert "--task regression" in found.plan.notes[0]
    assert "LENGTH, HORIZON = 28, 7" in found.text
    assert "    step=timedelta(days=1),\n" in found.text
    assert 'OTHERS = ("rain",)' in found.text
    assert 'split=Time(eval_from="2021-05-25", test_from="2021-09-12")' in found.text
    assert "left out: no number" == found.uses["weather"]


def test_regression_where_it_is_asked_for(drafted, write_csv, series):
    found = drafted(write_csv(series), "sold", "regression")
    assert "table" == found.plan.template
    assert 'DATES = ("day",)' in found.text


@pytest.mark.heavy
@pytest.mark.parametrize("disorder", [list.reverse, random.Random(1).shuffle])
def test_rows_in_another_order_are_sorted(drafted, write_csv, series, disorder):
    disorder(series["day"])
    found = drafted(write_csv(series), "sold")
    assert "series" == found.plan.template
    assert "    sort=True,\n" in found.text
    assert "The file has its rows in another order: a run sorts them by day, in memory." in found.plan.notes


def test_cells_of_a_series_that_are_not_read_are_told(drafted, write_csv, series):
    series["sold"][400:402] = ["n.b.", "n.b."]
    series["day"][500] = "2021-02-30"
    found = drafted(write_csv(series), "sold")
    assert "target, and its past; not read, so missing: 'n.b.' 2 times" == found.uses["sold"]
    assert found.uses["day"].endswith("; not read, so missing: '2021-02-30'")


@pytest.mark.heavy
def test_marks_for_missing_values_in_a_series_are_told(drafted, write_csv, series):
    plain = drafted(write_csv(series), "sold").plan.facts
    series["sold"][300:310] = [-999] * 10
    series["rain"][40:45] = [1e9] * 5
    plan = drafted(write_csv(series), "sold").plan
    notes = plan.notes
    assert plain["spread"] == pytest.approx(plan.facts["spread"], rel=0.05)
    assert (
        "sold: 10 values are far from all others, such as -999; MEAN, MEDIAN and DEVIATION pass over them. "
        "If it stands for a missing value, empty the cells, or name it in missing= of DATA."
    ) in notes
    assert any(note.startswith("rain: 5 values are far from all others, such as 1e+09. If") for note in notes)


@pytest.mark.heavy
def test_rows_of_the_same_day_are_no_series(drafted, write_csv, series):
    series["day"] = [series["day"][number // 3] for number in range(730)]
    found = drafted(write_csv(series), "sold")
    assert "table" == found.plan.template
    assert "numbers; no forecast, for day has the same time in 486 rows; no column names series" in found.plan.notes[0]


def test_a_column_names_several_series(drafted, write_csv, series):
    shops = {name: [*values, *values] for name, values in series.items()}
    found = drafted(write_csv({"shop": ["north"] * 730 + ["south"] * 730, **shops}), "sold")
    assert '    key=("shop",),\n' in found.text
    assert "sort=" not in found.text
    assert "730 steps of a day of 2 series; learnt" in found.text
    assert "names the series" == found.uses["shop"]
    assert "shop names 2 series, half of them of 730 rows or more." in found.plan.notes


def test_rows_without_a_time_and_other_names_are_reported(drafted, write_csv, series):
    path = write_csv({"day": series["day"], "sold (€)": series["sold"]})
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:300], lines[0], "soon,3.5", *lines[300:]]) + "\n")
    found = drafted(path, "sold (€)")
    assert "2 of 732 rows cannot be used: 1 times the header again; 1 times day is no time." in found.plan.notes
    assert "The first: line 301: the header again. A run lists all." in found.plan.notes
    assert {"sold": "sold (€)"} == found.plan.facts["renamed"]


def test_two_columns_name_several_series_that_take_turns(drafted, write_csv, series):
    pairs = [(shop, kind) for shop in ("north", "south") for kind in (7, 8)]
    rows = [(day, *pair, 1.5 * number) for number, day in enumerate(series["day"]) for pair in pairs]
    table = dict(zip(("day", "shop", "kind", "sold"), map(list, zip(*rows, strict=True)), strict=True))
    found = drafted(write_csv(table), "sold")
    assert '    key=("shop", "kind"),\n' in found.text
    assert "OTHERS" not in found.text


def test_business_days_are_a_step(drafted, write_csv, series):
    days = (date(2018, 1, 1) + timedelta(days=number) for number in range(1100))
    series["day"] = [day.isoformat() for day in days if day.weekday() < 5 and (day.month, day.day) != (12, 25)][:730]
    found = drafted(write_csv(series), "sold")
    assert "    step=BusinessDays(),\n" in found.text
    assert "from pipeline.tables.calendar import BusinessDays\n" in found.text
    assert "LENGTH, HORIZON = 20, 5" in found.text
    assert "rises by a business day" in found.plan.notes[0]


@pytest.mark.parametrize(
    ("open_days", "week", "window_"),
    [({0, 1, 2, 3, 4, 5}, "Mon Tue Wed Thu Fri Sat", "24, 6"), ({2, 5}, "Wed Sat", "8, 2")],
)
def test_a_shop_that_is_closed_on_some_weekdays(drafted, write_csv, series, open_days, week, window_):
    days = [date(2018, 1, 1) + timedelta(days=number) for number in range(2600)]
    opened = [day for day in days if day.weekday() in open_days and (day.month, day.day) != (12, 25)][:730]
    found = drafted(write_csv({**series, "day": [day.isoformat() for day in opened]}), "sold")
    assert f'    step=BusinessDays(week="{week}"),\n' in found.text
    assert f"LENGTH, HORIZON = {window_}" in found.text
    assert f"Business days are {week}; up to four of them without a row are no gap." in found.plan.notes
    windows = list(catalog.load_recipe(found.source.path).data.examples(Path("/")))
    assert not any(window.fault for window in windows)
    length, horizon = map(int, window_.split(", "))
    assert len(windows) == len(opened) - length - horizon + 1


@pytest.mark.parametrize(
    ("form", "order"),
    [
        ("%m/%d/%Y", "month first"),
        ("%d/%m/%Y", "day first"),
        ("%m/%d/%y %I:%M %p", "month first"),
        ("%Y%m%d", ""),
    ],
)
def test_dates_with_slashes_and_compact_ones(drafted, write_csv, series, form, order):
    days = (date(2020, 1, 1) + timedelta(days=number) for number in range(730))
    series["day"] = [day.strftime(form) for day in days]
    found = drafted(write_csv(series), "sold")
    assert "series" == found.plan.template
    assert (f'    order="{order}",\n' in found.text) == bool(order)
    assert 'eval_from="2021-05-25"' in found.text


@pytest.mark.heavy
def test_classes_by_day_are_no_series_unless_it_is_asked_for(drafted, write_csv, series):
    series["sold"] = [number % 4 for number in range(730)]
    assert "classification" in drafted(write_csv(series), "sold").plan.notes[0]
    assert "series" == drafted(write_csv(series), "sold", "forecasting").plan.template


@pytest.mark.heavy
def test_the_only_numbers_are_the_target(drafted, write_csv, series):
    found = drafted(write_csv({name: series[name] for name in ("day", "sold")}))
    assert "sold is the target: forecasting" in found.plan.notes[0]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("every", "form", "step", "window_", "length"),
    [
        (1, "{}-{:02}", "relativedelta(months=1)", "24, 6", 12),
        (3, "{}-{:02}-28", "relativedelta(months=3)", "8, 2", 4),
        (12, "1.{1}.{0}", "relativedelta(months=12)", "8, 1", 1),
    ],
)
def test_months_quarters_and_years_are_steps(drafted, write_csv, series, every, form, step, window_, length):
    series["day"] = [form.format(1900 + every * number // 12, 1 + every * number % 12) for number in range(730)]
    found = drafted(write_csv(series), "sold", "forecasting")
    assert "from dateutil.relativedelta import relativedelta\nfrom keras import layers, ops\n" in found.text
    assert "timedelta" not in found.text
    assert f"    step={step},\n" in found.text
    assert f"LENGTH, HORIZON = {window_}  #" in found.text
    assert f"SEASON = {length}  #" in found.text


def test_steps_of_any_length_are_no_series(drafted, write_csv, series):
    drawn = random.Random(1)
    days = sorted({drawn.randrange(10**5) for _ in range(900)})[:730]
    series["day"] = [(date(1900, 1, 1) + timedelta(days=number)).isoformat() for number in days]
    with pytest.raises(UsageError, match=r"Received: day rises by \d+ days in \d% of the rows only"):
        drafted(write_csv(series), "sold", "forecasting")


def test_a_clock_that_is_set_back_costs_a_few_rows(drafted, write_csv):
    hours = [datetime(2024, 1, 1) + timedelta(hours=number - (number > 1000)) for number in range(2000)]  # noqa: DTZ001
    found = drafted(write_csv({"at": hours, "load": [number % 24 / 8 for number in range(2000)]}), "load")
    assert "forecasting, for at rises by an hour" in found.plan.notes[0]
    faults = [row.fault for row in catalog.load_recipe(found.source.path).data.examples(Path("/")) if row.fault]
    assert ["2024-02-11T16:00:00 is not later than the row before"] == faults


@pytest.mark.parametrize("ending", [".tsv", ".jsonl", ".parquet"])
def test_a_series_in_every_format_of_a_table(drafted, series, tmp_path, ending):
    path = tmp_path / f"series{ending}"
    rows = [dict(zip(series, cells, strict=True)) for cells in zip(*series.values(), strict=True)]
    if ending == ".parquet":
        times = [datetime.fromisoformat(day) for day in series["day"]]
        parquet.write_table(pa.table({**series, "day": times}), path)
    elif ending == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        path.write_text("\n".join("\t".join(map(str, cells)) for cells in [series, *(row.values() for row in rows)]))
    found = drafted(path, "sold")
    assert "sold is the target: forecasting, for day rises by a day" in found.plan.notes[0]
    windows = list(catalog.load_recipe(found.source.path).data.examples(Path("/")))
    assert 730 - 34 == len(windows)
    assert series["day"][:28] == [day[:10].decode() for day in windows[0].features["day"].split(b",")]


def test_a_short_series(drafted, write_csv, series):
    with pytest.raises(PipelineError, match="too short to forecast"):
        drafted(write_csv({name: values[:80] for name, values in series.items()}), "sold")


STEPS = st.timedeltas(timedelta(microseconds=1), timedelta(days=400)) | st.integers(1, 24).map(
    lambda count: relativedelta(months=count)
)


@given(STEPS, st.integers(100, 10**6))
def test_windows_fit_into_the_test_split(step, rows):
    found = choose_window(step, rows)
    assert 1 <= found.horizon <= found.length
    assert 1 <= found.season <= found.length
    assert found.length + found.horizon <= (1 - TEST_START) * rows


@given(STEPS)
def test_source_of_a_step_means_it(step):
    assert step == eval(render.step_source(step), {"timedelta": timedelta, "relativedelta": relativedelta})


@pytest.mark.parametrize(
    ("step", "expected"),
    [(timedelta(hours=1), "an hour"), (timedelta(minutes=15), "15 minutes"), (timedelta(seconds=0.5), "0.5 seconds")],
)
def test_steps_in_words(step, expected):
    assert expected == describe_step(step)


@pytest.mark.heavy
def test_hours_with_a_zone_become_utc(drafted, write_csv):
    start = datetime.fromisoformat("2024-01-01T00:00:00+00:00")
    hours = [(start + timedelta(hours=number)).isoformat() for number in range(2000)]
    found = drafted(write_csv({"at": hours, "load": [float(number % 24) for number in range(2000)]}), "load")
    assert 'Time(eval_from="2024-02-28", test_from="2024-03-11")' in found.text


def test_the_windows_of_a_sample_do_not_all_begin_at_the_same_hour():
    hours = [datetime.fromisoformat("2020-01-01") + timedelta(hours=number) for number in range(40_000)]
    times = Times("when", hours, timedelta(hours=1), length=len(hours))
    shape = choose_window(times.step, len(hours))
    stride = choose_stride(times, 8, shape)
    assert 1 == math.gcd(stride, shape.season)
    assert len(hours) / stride * 8 * (shape.length + shape.horizon) <= MAX_NUMBERS
    assert 1 == choose_stride(Times("when", hours[:500], timedelta(hours=1), length=500), 1, shape)


@pytest.mark.heavy
def test_a_series_is_read_as_the_user_says(write_csv, series, tmp_path):
    path = write_csv(series)
    rows = path.read_text().replace(".", "~").replace(",", ";").replace("~", ",").replace("sold", "größe")
    path.write_bytes(rows.encode("cp1252"))
    plan = inspect.make_plan(path, "größe", "", Dialect(encoding="cp1252"))
    assert "series" == plan.template
    text = render.render_recipe(plan, "mine")
    assert 'dialect=Dialect(encoding="cp1252", decimal=","),' in text
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    assert any(True for _ in catalog.load_recipe(file).data.examples(tmp_path))


def test_a_date_in_a_table_is_read_as_the_user_says(write_csv, trees):
    path = write_csv({"größe" if name == "age" else name: cells for name, cells in trees.items()})
    path.write_bytes(path.read_text(encoding="utf-8").encode("cp1252"))
    assert "table" == inspect.make_plan(path, "price", "", Dialect(encoding="cp1252")).template


def test_rows_with_a_time_that_came_before_are_told_as_the_run_treats_them(drafted, write_csv, series):
    rows = {name: [*values, values[100]] for name, values in series.items()}
    rows["sold"][-1] = 99.5
    found = drafted(write_csv(rows), "sold")
    words = "1 row has a time that came before: the row that comes first in the file counts, and no other."
    assert f"{words} The first of them: line 732." in found.plan.notes
    faults = [row.fault for row in catalog.load_recipe(found.source.path).data.examples(Path("/")) if row.fault]
    assert ["2020-04-10T00:00:00 is not later than the row before"] == faults


def test_times_that_are_not_read_are_the_reason(drafted, write_csv, series):
    days = [date.fromisoformat(day).strftime("%d-%b-%Y") for day in series["day"]]
    table = {"date": days, "sold": series["sold"]}
    with pytest.raises(PipelineError, match=r"date left out: times such as '01-Jan-2020' are not read"):
        drafted(write_csv(table), "sold")
    notes = drafted(write_csv({**table, "rain": series["rain"]}), "sold").plan.notes
    assert "no forecast, for date holds times such as '01-Jan-2020', which are not read" in notes[0]
    assert any("the rows are split by hash, not by time; write 2024-01-31" in note for note in notes)


@pytest.mark.heavy
@pytest.mark.parametrize("clock", [str, "{:02}:00".format])
def test_the_hour_of_a_day_names_no_series(drafted, write_csv, series, clock):
    """Each hour has the days in equal steps; it was taken for one of 24 shops."""
    series["day"] = [series["day"][number // 24] for number in range(730)]
    series["hr" if clock is str else "Time"] = [clock(number % 24) for number in range(730)]
    found = drafted(write_csv(series), "sold")
    assert "table" == found.plan.template
    assert any("tell one time: the rows are split by hash" in note for note in found.plan.notes)


def test_times_in_several_columns_are_named_where_a_forecast_is_asked_for(drafted, write_csv, series):
    year, month, day = zip(*(str(moment).split("-") for moment in series.pop("day")), strict=True)
    columns = {"year": year, "month": list(map(int, month)), "day": list(map(int, day)), **series}
    with pytest.raises(UsageError, match="no column of dates; year, month and day tell one time"):
        drafted(write_csv(columns), "sold", "forecasting")
