"""Dates as text: the graph and Python read the same ones, with the same numbers."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.features import dates

FORMS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.25+00:00",
)


def parts(*texts):
    return {name: value.numpy() for name, value in dates.parts(tf.constant(texts), "d").items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29", "2024-02-29T00:00:00"),
        ("2024-2-9", "2024-02-09T00:00:00"),
        ("1949-12", "1949-12-01T00:00:00"),
        ("2024/02/29 7:05", "2024-02-29T07:05:00"),
        ("29.2.2024", "2024-02-29T00:00:00"),
        (" 2000-02-29T23:59:59.999Z ", "2000-02-29T23:59:59"),
        ("2024-03-31T01:30:00+02:00", "2024-03-30T23:30:00"),
        ("2024-12-31 22:00:00-0530", "2025-01-01T03:30:00"),
        ("1.3.2024 00:59+01", "2024-02-29T23:59:00"),
        ("2024-02-29 12:00 UTC", "2024-02-29T12:00:00"),
        ("0001-01-01 00:00-01:00", "0001-01-01T01:00:00"),
    ],
)
def test_date_in_any_form(text, expected):
    assert expected == dates.iso(text)
    found = parts(text)
    seconds = datetime.fromisoformat(expected).replace(tzinfo=UTC).timestamp()
    assert 1.0 == found["d_known"][0]
    assert np.float32(seconds / 86_400) == found["d_days"][0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NA",
        "2024",
        "20240229",
        "2023-02-29",
        "1900-02-29",
        "2024-13-01",
        "2024-00",
        "2024-01-00",
        "0000-01-01",
        "2024-01/02",
        "03/04/2024",
        "2024-01-01 24:00",
        "2024-01-01 12:60",
        "2024-01-01T12:00:60",
        "2024-01-01T12:00+24:00",
        "2024-01-01T12:00+02:60",
        "2024-01-01T12:00+2",
        "2024-01-01+02:00",
        "0001-01-01 00:00+01:00",
        "9999-12-31 23:30-01:00",
        "2024-01-01 and more",
        "1 2024-01-01",
        "२०२४-01-01",
    ],
)
def test_no_date(text):
    assert dates.iso(text) is None
    found = parts(text)
    assert 0.0 == found.pop("d_known")[0]
    assert 7 == len(found)
    assert all(math.isnan(value[0]) for value in found.values())


@pytest.mark.heavy
@given(st.datetimes(), st.sampled_from(FORMS))
def test_numbers_are_those_of_the_calendar(moment, form):
    moment = moment.replace(microsecond=0)
    text = moment.strftime(form).replace(f"{moment.year}", f"{moment.year:04}", 1) if moment.year >= 1000 else ""
    found = parts(text)
    if not text:
        assert 0.0 == found["d_known"][0]
        return
    hour = (moment.hour * 3600 + moment.minute * 60 + moment.second) / 86_400
    days = (moment - datetime(1970, 1, 1)).total_seconds() / 86_400  # noqa: DTZ001
    assert moment.isoformat() == dates.iso(text)
    assert np.float32(days) == found["d_days"][0]
    for name, turn in {"month": (moment.month - 1) / 12, "weekday": moment.weekday() / 7, "hour": hour}.items():
        angle = 2 * math.pi * turn
        np.testing.assert_allclose(math.sin(angle), found[f"d_{name}_sin"][0], atol=1e-6)
        np.testing.assert_allclose(math.cos(angle), found[f"d_{name}_cos"][0], atol=1e-6)


@pytest.mark.heavy
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.from_regex(dates.YEAR_FIRST, fullmatch=True))
def test_graph_and_python_agree(text):
    assert (dates.iso(text) is not None) == bool(parts(text)["d_known"][0])
