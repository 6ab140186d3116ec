"""Forecasts from the rows of a table."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta

import numpy as np
import pytest

from pipeline.batch_inference import forecast
from pipeline.batch_inference.forecast import Layout
from pipeline.errors import PipelineError, UsageError
from pipeline.tables.dialect import Dialect

SHOPS = Layout(["day"], "day", ["shop"], "", {"past": "sold"}, {"weather": "weather"}, "sold", 3, 2)
DAY = timedelta(days=1)


def model(asked):
    """Repeats the last value of each series."""

    def predict(inputs):
        asked.append(inputs)
        known = [[text for text in row if text] for row in inputs["day"]]
        last = [row[len(texts) - 1] for row, texts in zip(inputs["past"], known, strict=True)]
        times = [
            [(datetime.fromisoformat(texts[-1]) + n * DAY).isoformat().encode() for n in (1, 2)] for texts in known
        ]
        return {"forecast": np.repeat(np.float32(last)[:, None], 2, axis=1), "time": np.array(times, object)}

    return predict


@pytest.fixture
def ask(tmp_path):
    def run(text, layout=SHOPS, name="series.csv", encoding="utf-8", dialect=None):
        asked = []
        (tmp_path / name).write_text(text, encoding)
        outcome = forecast.run(tmp_path / name, tmp_path / "out.csv", layout, model(asked), dialect)
        with (tmp_path / "out.csv").open() as file:
            return outcome, list(csv.DictReader(file)), asked

    return run


ROWS = """day,shop,weather,sold
2024-01-03,b,sun,30
2024-01-01,a,rain,1
2024-01-02,a,,2
2024-01-03,a,sun,?
2024-01-04,a,sun,4
soon,a,sun,5
2024-01-02,b,sun,much
"""


def test_each_series_gets_its_next_steps_with_their_times(ask, tmp_path):
    outcome, rows, (inputs,) = ask(ROWS)
    assert [
        {"shop": "b", "day": "2024-01-04", "predicted_sold": "30.0"},
        {"shop": "b", "day": "2024-01-05", "predicted_sold": "30.0"},
        {"shop": "a", "day": "2024-01-05", "predicted_sold": "4.0"},
        {"shop": "a", "day": "2024-01-06", "predicted_sold": "4.0"},
    ] == rows
    assert (7, 2) == (outcome.rows, outcome.bad)
    reasons = [json.loads(line) for line in (tmp_path / "out.csv.bad.jsonl").read_text().splitlines()]
    assert [("line 7", "column day is no time: 'soon'"), ("line 8", "column sold is no number: 'much'")] == [
        (entry["place"], entry["reason"]) for entry in reasons
    ]
    np.testing.assert_array_equal([[30, np.nan, np.nan], [2, np.nan, 4]], inputs["past"])
    assert [["sun", "", ""], ["", "sun", "sun"]] == inputs["weather"].tolist()


def test_columns_may_have_the_names_of_the_inputs(ask):
    _, expected, _ = ask(ROWS)
    _, rows, _ = ask(ROWS.replace("weather,sold", "weather,past"))
    assert expected == rows
    lines = [json.dumps({"day": "2024-01-01", "shop": "a", "weather": "", "past": value}) for value in (1, None, 3)]
    assert "3.0" == ask("\n".join(lines), name="series.jsonl")[1][0]["predicted_sold"]


def test_columns_that_are_not_used_are_named(ask):
    assert [] == ask(ROWS)[0].unused
    text = "\n".join(line + extra for line, extra in zip(ROWS.splitlines(), [",note,more", *[",x,y"] * 7], strict=True))
    assert ["note", "more"] == ask(text)[0].unused


def test_midnight_is_written_like_the_other_hours_of_a_series_of_hours(ask):
    layout = Layout(["when"], "day", [], "", {"past": "sold"}, {}, "sold", 3, 2)
    text = "when,sold\n2024-01-01 12:00,1\n2024-01-02 00:00,2\n"
    assert ["2024-01-03T00:00:00", "2024-01-04T00:00:00"] == [row["when"] for row in ask(text, layout)[1]]


def test_times_with_a_zone_are_answered_in_utc_and_say_so(ask):
    layout = Layout(["when"], "day", [], "", {"past": "sold"}, {}, "sold", 3, 2)
    rows = ask("when,sold\n2024-01-01T01:00:00+02:00,1\n2024-01-02T01:00:00+02:00,2\n", layout)[1]
    assert ["2024-01-02T23:00:00Z", "2024-01-03T23:00:00Z"] == [row["when"] for row in rows]
    days = ask("when,sold\n2024-01-01T02:00:00+02:00,1\n2024-01-02T02:00:00+02:00,2\n", layout)[1]
    assert ["2024-01-03", "2024-01-04"] == [row["when"] for row in days]


def test_only_what_the_model_sees_is_sent(ask):
    days = [datetime.fromisoformat("2024-01-01") + number * DAY for number in range(50)]
    text = "day,sold\n" + "".join(f"{day:%m/%d/%Y},{number}\n" for number, day in reversed(list(enumerate(days))))
    layout = Layout(["day"], "day", [], "month first", {"past": "sold"}, {}, "sold", 3, 2)
    outcome, rows, (inputs,) = ask(text, layout)
    assert [[47.0, 48.0, 49.0]] == inputs["past"].tolist()
    assert ["2024-02-20", "2024-02-21"] == [row["day"] for row in rows]
    assert (50, 0, None) == (outcome.rows, outcome.bad, outcome.reasons)


def test_time_in_several_columns(ask):
    layout = Layout(["year", "month", "day"], "day", [], "", {"past": "sold"}, {}, "sold", 3, 2)
    _, rows, _ = ask("year,month,day,sold\n2024,2,28,1\n2024,2,29,2\n", layout)
    assert [("2024-03-01", "2.0"), ("2024-03-02", "2.0")] == [(row["time"], row["predicted_sold"]) for row in rows]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("day,shop,sold\n2024-01-01,a,1\n", "lacks the column weather"),
        ("day,shop,weather,sold\n", "has no row from which to forecast"),
        ("day,shop,weather,sold\nsoon,a,sun,1\n", "column day is no time: 'soon'"),
    ],
)
def test_what_cannot_be_forecast(ask, text, words):
    with pytest.raises(PipelineError, match=words):
        ask(text)


def test_bytes_of_another_encoding_and_surplus_columns_are_named(ask, tmp_path):
    text = "day,shop,weather,sold,note\n2024-01-01,a,sun,1,x\n2024-01-02,a,trüb,2,x\n2024-01-03,a,sun,3,ü\n"
    outcome, rows, (inputs,) = ask(text, encoding="cp1252")
    assert [[1.0, 3.0]] == inputs["past"].tolist()
    assert "2024-01-04" == rows[0]["day"]
    assert ["note"] == outcome.unused
    (entry,) = map(json.loads, (tmp_path / "out.csv.bad.jsonl").read_text().splitlines())
    assert "line 3" == entry["place"]
    assert entry["reason"].startswith("column weather is not in the file's encoding")
    outcome, _, (inputs,) = ask(text, encoding="cp1252", dialect=Dialect(encoding="cp1252"))
    assert (0, ["sun", "trüb", "sun"]) == (outcome.bad, inputs["weather"].tolist()[0])


def test_numbers_are_read_as_the_file_writes_them(ask):
    text = "day;shop;weather;sold\n2024-01-01;a;sun;1.001,5\n2024-01-02;a;sun;2.002,5\n"
    assert [[1001.5, 2002.5]] == ask(text)[2][0]["past"].tolist()
    with pytest.raises(UsageError, match=r"--thousands \. or --decimal \."):
        ask(text.replace(",5", ""))
    assert [[1001.0, 2002.0]] == ask(text.replace(",5", ""), dialect=Dialect(thousands="."))[2][0]["past"].tolist()


def test_many_series_are_asked_in_parts(ask):
    text = "day,shop,weather,sold\n" + "".join(f"2024-01-01,{shop},sun,{shop}\n" for shop in range(70))
    _, rows, asked = ask(text)
    assert [32, 32, 6] == [len(inputs["past"]) for inputs in asked]
    assert 140 == len(rows)
