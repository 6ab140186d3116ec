"""The taxi trips inside TFX."""

from __future__ import annotations

from pathlib import Path

from pipeline.datasets.taxi import TAXI, TRIPS
from pipeline.formats import columns


def test_trips_and_those_that_are_refused():
    found = list(TAXI.examples(Path("/")))
    assert 15_002 == len(found)
    assert ["a fare of 700.07 dollars, expected at most 200", *["no place of pickup"] * 2] == sorted(
        one.fault for one in found if one.fault
    )
    sound = [one.features for one in found if not one.fault]
    assert any("dropoff_latitude" not in features for features in sound)
    assert all({"pickup_latitude", "pickup_longitude", "fare"} <= features.keys() for features in sound)


def test_the_file_is_read_whole():
    assert [Path(TRIPS.path)] == TAXI.files(Path("/"))


def test_no_input_is_known_only_after_the_trip():
    names = {column.name for column in columns.inspect_table(Path(TRIPS.path))}
    assert TAXI.inputs.keys() < names
    late = {"fare", "tips", "trip_miles", "trip_seconds", "payment_type"}
    assert not late & TAXI.inputs.keys()
    assert late <= names
