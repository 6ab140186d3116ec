"""Windows over a time series: what lies in them, what is left out, and that none sees its future."""

from __future__ import annotations

import gzip
import io
import json
import math
import tracemalloc
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.formats.time_series import MAX_SHOWN, TimeSeries
from pipeline.store import journal

HOUR = timedelta(hours=1)
START = datetime(2024, 2, 28, 22)  # noqa: DTZ001  (the file has no time zone either)
DATA = TimeSeries(
    "series.csv", ("date",), HOUR, "dust", {"dust_then": "dust", "heat": "heat"}, {"wind": "wind"}, length=3, horizon=2
)


@pytest.fixture
def found(tmp_path):
    def read(text, data=DATA):
        (tmp_path / "series.csv").write_text(text, newline="")
        with journal.use_journal(tmp_path / "journal.jsonl"):
            return list(data.examples(tmp_path))

    return read


@pytest.fixture
def counts(tmp_path):
    def last():
        events = [event for event, _ in journal.iter_events(tmp_path / "journal.jsonl") if event["event"] == "windows"]
        return {name: value for name, value in events[-1].items() if name not in ("time", "event")}

    return last


def text(rows, header="date,dust,heat,wind"):
    """Rows (hours since START, cells…) as a file."""
    return "\n".join([header, *(f"{(START + hours * HOUR).isoformat()},{cells}" for hours, cells in rows)]) + "\n"


def test_a_window_holds_the_past_as_inputs_and_what_follows_as_label(found, counts):
    (one,) = found(text([(0, "10,-1,NW"), (1, "11,-2,NW"), (2, "12,-3,SE"), (3, "13,-4,SE"), (4, "14,-5,cv")]))
    expected = {"dust_then": (10, 11, 12), "heat": (-1, -2, -3), "wind": b"NW,NW,SE", "next": (13, 14)}
    assert expected == one.features
    assert ("2024-02-28T22:00:00", "2024-02-29T02:00:00") == (one.begins, one.ends)
    assert one.source.endswith("series.csv line 2 to line 6")
    assert {"steps": 5, "windows": 1, "passed_over": 0, "gaps": 0, "first_gaps": []} == counts()


def test_inputs_are_declared_with_their_length():
    assert {"dust_then": "float[3]", "heat": "float[3]", "wind": "bytes"} == DATA.inputs
    assert () == DATA.classes


def test_holes_stay_holes_in_the_inputs(found):
    (one,) = found(text([(0, "NA,1,NA"), (1, ",nan,"), (2, "12, ,SE"), (3, "13,NA,"), (4, "14,,")]))
    np.testing.assert_array_equal([math.nan, math.nan, 12], one.features["dust_then"])
    np.testing.assert_array_equal([1, math.nan, math.nan], one.features["heat"])
    assert b",,SE" == one.features["wind"]


def test_no_label_has_a_hole(found, counts):
    values = [10, 11, 12, 13, "NA", 15, 16, 17]
    windows = found(text([(hour, f"{value},0,NW") for hour, value in enumerate(values)]))
    assert [(15, 16), (16, 17)] == [one.features["next"] for one in windows]
    assert {"steps": 8, "windows": 2, "passed_over": 2, "gaps": 0, "first_gaps": []} == counts()


def test_no_window_reaches_over_a_gap(found, counts):
    windows = found(text([(hour, f"{hour},0,NW") for hour in (*range(5), *range(6, 12))]))
    assert [(3, 4), (9, 10), (10, 11)] == [one.features["next"] for one in windows]
    expected = ["line 7: from 2024-02-29T02:00:00 to 2024-02-29T04:00:00"]
    assert {"steps": 11, "windows": 3, "passed_over": 0, "gaps": 1, "first_gaps": expected} == counts()


def test_only_the_first_gaps_are_reported(found, counts):
    found(text([(hour, f"{hour},0,NW") for hour in (*range(0, 40, 2), *range(39, 44))]))
    assert 19 == counts()["gaps"]
    assert MAX_SHOWN == len(counts()["first_gaps"])


def test_time_out_of_several_columns(found):
    data = replace(DATA, time=("year", "month", "day", "hour"), texts={}, length=1, horizon=1)
    header = "year,month,day,hour,dust,heat\n"
    (one,) = found(header + "2023,12,31,23,1,2\n2024,1,1,0,3,4\n", data)
    assert ("2023-12-31T23:00:00", "2024-01-01T00:00:00") == (one.begins, one.ends)


def test_times_with_an_offset_are_turned_to_utc_so_that_the_clock_change_is_no_gap(found, counts):
    data = replace(DATA, texts={}, length=1, horizon=1)
    (one,) = found("date,dust,heat\n2024-10-27T02:30+02:00,1,1\n2024-10-27T02:30+01:00,2,2\n", data)
    assert ("2024-10-27T00:30:00", "2024-10-27T01:30:00") == (one.begins, one.ends)
    assert 0 == counts()["gaps"]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("2024-13-01,1,1,NW", "column date is no time: '2024-13-01'"),
        (",1,1,NW", "column date is no time: ''"),
        ("2024-02-29T03:00,much,1,NW", "column dust is not of kind float: 'much'"),
        ("2024-02-29T03:00,1,inf,NW", "column heat is not of kind float: 'inf'"),
        ("2024-02-29T03:00,1e39,1,NW", "column dust is not of kind float: '1e39'"),
        ('2024-02-29T03:00,1,1,"N,W"', "column wind holds a comma, which separates the steps of a window: 'N,W'"),
        ("2024-02-29T02:00,1,1,NW", "2024-02-29T02:00:00 is not later than the row before"),
        ("2024-02-27T02:00,1,1,NW", "2024-02-27T02:00:00 is not later than the row before"),
    ],
)
def test_a_row_that_cannot_be_used_is_reported_and_costs_no_other(found, row, fault):
    sound = text([(hour, f"{hour},0,NW") for hour in range(5)])
    window, one = found(f"{sound}{row}\n")
    assert (fault, "") == (one.fault, window.fault)
    assert one.source.endswith("series.csv line 7")
    with_more = found(f"{sound}{row}\n" + text([(hour, f"{hour},0,NW") for hour in range(6, 11)]).partition("\n")[2])
    assert [(3, 4), None, (9, 10)] == [one.features.get("next") for one in with_more]


@pytest.mark.parametrize("ending", [".tsv", ".csv.gz", ".jsonl", ".parquet", ""])
def test_every_format_of_a_table_gives_the_same_windows(tmp_path, ending):
    rows = [(hour, f"{hour if hour != 2 else ''},0,NW") for hour in range(7)]
    (tmp_path / "series.csv").write_text(text(rows))
    expected = list(DATA.examples(tmp_path))
    other = replace(DATA, path=f"other{ending}")
    converted(text(rows), tmp_path / other.path)
    given_ = list(other.examples(tmp_path))
    assert 3 == len(given_)
    for one, same in zip(expected, given_, strict=True):
        np.testing.assert_equal(dict(one.features), dict(same.features))
        assert (one.begins, one.ends, "") == (same.begins, same.ends, same.fault)


def converted(written, path):
    """The same table in the format of the path's ending; without one a folder of Parquet files."""
    table = pyarrow.csv.read_csv(io.BytesIO(written.encode()))
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, default=datetime.isoformat) for row in table.to_pylist()))
    elif path.suffix:
        text_ = written.replace(",", "\t") if path.suffix == ".tsv" else written
        path.write_bytes(gzip.compress(text_.encode()) if path.suffix == ".gz" else text_.encode())
    else:
        path.mkdir()
        pyarrow.parquet.write_table(table.slice(0, 3), path / "1.parquet")
        pyarrow.parquet.write_table(table.slice(3), path / "2.parquet")


def test_bytes_that_are_no_text_cost_their_row(tmp_path):
    bad = text([(hour, f"{hour},0,NW") for hour in range(5)]).encode() + b"2024-02-29T03:00,5,0,\xff\n"
    (tmp_path / "series.csv").write_bytes(bad)
    assert ["", "column wind is not of kind bytes: '\\udcff'"] == [one.fault for one in DATA.examples(tmp_path)]


@pytest.mark.parametrize(
    ("days", "step"),
    [
        (["2023-11", "2023-12", "2024-01"], relativedelta(months=1)),
        (["2023-11-30", "2023-12-31", "2024-01-31"], relativedelta(months=1)),
        (["30.09.2023", "31.12.2023", "31.03.2024"], relativedelta(months=3)),
        (["2022-01-01", "2023-01-01", "2024-01-01"], relativedelta(years=1)),
    ],
)
def test_months_are_steps_of_different_length(found, days, step):
    data = replace(DATA, step=step, texts={}, length=1, horizon=1)
    windows = found("date,dust,heat\n" + "".join(f"{day},{place},0\n" for place, day in enumerate(days)), data)
    assert [(1,), (2,)] == [one.features["next"] for one in windows]
    with pytest.raises(PipelineError, match="has no window"):
        found("date,dust,heat\n2020-01-01,1,1\n2020-06-01,1,1\n", data)


def test_a_step_of_months_and_days_is_refused():
    with pytest.raises(ValueError, match=r"relativedelta\(months=\.\.\.\)"):
        replace(DATA, step=relativedelta(months=1, days=1))


@pytest.mark.parametrize(("header", "words"), [("date,dust", "columns heat, wind"), ("", "Received: an empty file")])
def test_missing_columns(found, header, words):
    with pytest.raises(PipelineError, match="Next: add the column") as caught:
        found(header + "\n" * bool(header))
    assert words in str(caught.value)


def test_a_step_that_does_not_fit_the_file_is_reported(found):
    with pytest.raises(PipelineError, match=r"has no window of 3 and 2 steps") as caught:
        found(text([(hour, "1,1,NW") for hour in range(9)]), replace(DATA, step=timedelta(days=1)))
    assert "Received: 9 rows; 8 gaps, 0 with a gap in the horizon" in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(PipelineError, match="Received: nothing at that path"):
        DATA.files(tmp_path)


@pytest.mark.heavy
def test_memory_does_not_grow_with_the_file(tmp_path):
    def peak(rows):
        (tmp_path / "series.csv").write_text(text([(hour, f"{hour},0,NW") for hour in range(rows)]))
        tracemalloc.start()
        assert rows - 4 == sum(1 for _ in DATA.examples(tmp_path))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(4000)  # what is imported, and the tuples that Python itself keeps to use again
    assert peak(4000) < 1.5 * peak(200)


ROWS = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 1, 1, 2, 5]), st.none() | st.integers(-99, 99), st.sampled_from(["NW", "SE", "NA"])
    ),
    min_size=1,
    max_size=40,
)


def windows_by_definition(rows, data):
    """Times and values of every window: {first hour: (past values, past winds, future values)}."""
    by_hour = {hour: (value, wind) for hour, value, wind in rows}
    size = data.length + data.horizon
    starts, found = [hour for hour in by_hour if hour - 1 not in by_hour], {}
    for start in starts:
        first = start
        while all(hour in by_hour for hour in range(start, first + size)):  # a stride may step over a gap
            cells = [by_hour[hour] for hour in range(first, first + size)]
            past, future = cells[: data.length], [value for value, _ in cells[data.length :]]
            if None not in future:
                winds = ",".join("" if wind == "NA" else wind for _, wind in past).encode()
                found[first] = ([math.nan if value is None else value for value, _ in past], winds, future)
            first += data.stride
    return found


@example([(1, 0, "NW"), (1, None, "NW"), (2, 0, "NW"), (1, 0, "NW"), (1, 0, "NW")], 1, 1, 4)
@given(ROWS, st.integers(1, 6), st.integers(1, 4), st.integers(1, 7))
def test_windows_are_those_of_the_definition(tmp_path_factory, rows, length, horizon, stride):
    hours = np.cumsum([ahead for ahead, _, _ in rows]).tolist()
    rows = [(hour, value, wind) for hour, (_, value, wind) in zip(hours, rows, strict=True)]
    data = replace(DATA, numbers={"then": "dust"}, length=length, horizon=horizon, stride=stride)
    folder = tmp_path_factory.getbasetemp()
    cells = [(hour, f"{'NA' if value is None else value},{wind}") for hour, value, wind in rows]
    (folder / "series.csv").write_text(text(cells, "date,dust,wind"))
    expected, found = windows_by_definition(rows, data), []
    try:
        found.extend(data.examples(folder))
    except PipelineError:
        assert not expected
    assert [(START + hour * HOUR).isoformat() for hour in expected] == [one.begins for one in found]
    for (hour, (past, winds, future)), one in zip(expected.items(), found, strict=True):
        np.testing.assert_array_equal(past, one.features["then"])
        assert (winds, tuple(future)) == (one.features["wind"], one.features["next"])
        assert (START + (hour + length + horizon - 1) * HOUR).isoformat() == one.ends


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 5), st.integers(0, 20), st.data())
def test_inputs_do_not_change_with_the_future(tmp_path_factory, length, horizon, stride, more, draw):
    """Whatever comes after a window's past, its inputs are the same: nothing of the future leaks into them."""
    rows = length + horizon + more
    values = draw.draw(st.lists(st.integers(0, 99), min_size=rows, max_size=rows))
    changed_from = draw.draw(st.integers(0, rows))
    data = replace(DATA, numbers={"then": "dust"}, texts={}, length=length, horizon=horizon, stride=stride)

    def inputs(values):
        folder = tmp_path_factory.getbasetemp()
        (folder / "series.csv").write_text(text(list(enumerate(values)), "date,dust"))
        return {one.begins: one.features["then"] for one in data.examples(folder)}

    before = inputs(values)
    after = inputs([*values[:changed_from], *(value + 100 for value in values[changed_from:])])
    for hour, begins in enumerate(before):
        seen = max(0, min(length, changed_from - hour * stride))
        assert before[begins][:seen] == after[begins][:seen]
        assert tuple(value + 100 for value in before[begins][seen:]) == after[begins][seen:]


def sold(rows):
    return "shop,date,sold\n" + "".join(f"{shop},{day},{number}\n" for shop, day, number in rows)


SHOPS = TimeSeries(
    "series.csv", ("date",), timedelta(days=1), "sold", {"past": "sold"}, length=2, horizon=1, key=("shop",)
)


def cut(examples):
    return sorted((list(example.features["past"]), list(example.features["next"])) for example in examples)


def test_a_window_is_of_one_series_also_when_they_take_turns(found, counts):
    rows = [(shop, f"2024-01-0{day}", 10 * number + day) for day in range(1, 5) for number, shop in enumerate("ab")]
    expected = [([1.0, 2.0], [3.0]), ([2.0, 3.0], [4.0]), ([11.0, 12.0], [13.0]), ([12.0, 13.0], [14.0])]
    assert expected == cut(found(sold(rows), SHOPS))
    assert (8, 4, 0) == tuple(counts()[name] for name in ("steps", "windows", "gaps"))
    assert expected == cut(found(sold(sorted(rows)), SHOPS))


@given(st.randoms(use_true_random=False))
def test_sorted_rows_give_the_same_windows_in_any_order(tmp_path_factory, randomness):
    rows = [(shop, f"2024-01-{day:02}", day * (2 + (shop == "b"))) for shop in "ab" for day in range(1, 9)]
    path = tmp_path_factory.mktemp("sorted") / "series.csv"
    path.write_text(sold(rows))
    expected = cut(SHOPS.examples(path.parent))
    randomness.shuffle(rows)
    path.write_text(sold(rows))
    assert expected == cut(replace(SHOPS, sort=True).examples(path.parent))


def test_the_same_time_twice_in_a_series_is_a_fault_wherever_the_rows_are(found):
    rows = [("a", "2024-01-02", 2), ("a", "2024-01-01", 1), ("a", "2024-01-02", 5), ("a", "2024-01-03", 3)]
    *windows, fault, window = sorted(found(sold(rows), replace(SHOPS, sort=True)), key=lambda row: not row.fault)[::-1]
    faults = [example.fault for example in (*windows, fault, window) if example.fault]
    assert ["2024-01-02T00:00:00 is not later than the row before"] == faults


def test_a_time_as_text_is_iso_whatever_the_table_writes(found):
    data = TimeSeries(
        "series.csv",
        ("date",),
        timedelta(days=1),
        "sold",
        {"past": "sold"},
        {"date": "date"},
        length=2,
        order="day first",
    )
    (window,) = found("date,sold\n30/1/2024,1\n31/1/2024,2\n1/2/2024,3\n", data)
    assert b"2024-01-30T00:00:00,2024-01-31T00:00:00" == window.features["date"]
