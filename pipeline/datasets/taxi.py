"""Taxi: 15,002 trips in Chicago in the years 2013 to 2016, and their fares in dollars; nothing to download.

Source: City of Chicago, Taxi Trips, https://data.cityofchicago.org/Transportation/Taxi-Trips-2013-2023-/wrvz-psew, in
the sample inside TFX (`examples/chicago_taxi_pipeline/data/simple/data.csv`).

Inputs are the facts that are known at the start of a trip. Left out are those known at its end (`trip_miles`,
`trip_seconds`) and those that depend on the fare (`tips`, `payment_type`: cash trips are recorded without a tip); the
two census tracts, which are mostly missing; and the time stamp, which month, day and hour repeat. Places are centres of
census tracts or community areas.

One trip of 600 seconds and 0 miles for 700.07 dollars is a meter error and is rejected: among 1,500 test rows it
alone would be three quarters of the variance. The two trips without a place of pickup are rejected, too.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.formats.csv import Csv
from pipeline.formats.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.formats.base import Example

PLACES = ("pickup", "dropoff")
COORDINATES = tuple(f"{place}_{axis}" for place in PLACES for axis in ("latitude", "longitude"))
AREAS = tuple(f"{place}_community_area" for place in PLACES)
TIMES = ("trip_start_month", "trip_start_day", "trip_start_hour")
LARGEST_FARE = 200.0  # dollars; the next one is 175.05, for 72 miles


def _file() -> str:
    """Returns the file inside TFX, without importing TFX."""
    spec = find_spec("tfx")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "examples" / "chicago_taxi_pipeline" / "data" / "simple" / "data.csv")


TRIPS = Csv(
    path=_file(),
    columns={
        **dict.fromkeys((*COORDINATES, *AREAS), "float"),  # integers too, since some are missing
        **dict.fromkeys(TIMES, "int"),
        "company": "bytes",
    },
    label="fare",
)


def trips(data: Path) -> Iterator[Example]:
    """Yields the trips in the order of the file."""
    for trip in TRIPS.examples(data):
        fault = trip.fault or _fault(trip.features)
        yield replace(trip, features={}, fault=fault) if fault else trip


def _fault(trip: Mapping[str, Any]) -> str:
    fare = trip[TRIPS.label]
    if fare > LARGEST_FARE:
        return f"a fare of {fare} dollars, expected at most {LARGEST_FARE:g}"
    return "" if {"pickup_latitude", "pickup_community_area"} <= trip.keys() else "no place of pickup"


TAXI = Generator(trips, TRIPS.columns, TRIPS.label, reads=(TRIPS.path,))
