"""What a version says of its inputs and its answer: their names in the file that was trained on, and the classes.

The names that writers and readers of a version share are here, because nothing here imports TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.features import dates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COLUMNS_FILE = "assets.extra/columns.json"  # of a version; `serving/core/columns.py` reads it, too
FORECAST_FILE = "assets.extra/forecast.json"  # of a version: the columns of a table from which it forecasts
FORECAST_SIGNATURE, FORECAST_TIME = "forecast", "time"  # see `pipeline.export.forecast`
FORM = ("delimiter", "decimal", "thousands")  # of a file, as far as the recipe names it
MOSTLY_DATES = 0.9  # share of the texts of a column of dates that are dates


def describe_columns(data: Any, sample: Mapping[str, Iterable[Any]] | None = None) -> dict[str, Any]:
    """Returns as JSON the columns of the inputs, which of them may be missing, the target's column and the classes.

    And how the file is written, as far as the recipe names it, and which texts are missing values. A single text or
    number of a table may be missing: `preprocess` gets "" or NaN, in training as in serving. So it does for a text that
    is no date: what asks for an answer has to know which inputs are dates.

    Args:
        data: The data set.
        sample: Values of some rows by input.
    """
    inner = getattr(data, "data", data)  # of a `pipeline.formats.base.RenamedColumns`
    windows = hasattr(inner, "horizon")  # of a series
    own = getattr(inner, "column_names", {})  # of `pipeline.formats.structured.interactions`
    names = {**inner.numbers, **inner.texts} if windows else own if inner is data else dict(data.names)
    table = hasattr(inner, "missing") and not windows
    optional = [name for name, kind in data.inputs.items() if kind in ("float", "bytes") and table]
    optional = [name for name in optional if not name.endswith("_bytes")]
    return {
        "columns": {name: names.get(name, name) for name in data.inputs},
        "optional": optional,
        "dates": [
            name for name in optional if data.inputs[name] == "bytes" and _are_dates((sample or {}).get(name, ()))
        ],
        "identifiers": [name for name in data.inputs if name in getattr(data, "identifiers", ())],
        "target": names.get(data.label, data.label),
        "classes": list(data.classes),
        **_describe_form(inner),
    }


def _describe_form(data: Any) -> dict[str, Any]:
    """Returns which texts are missing, and what the recipe names of its file: the rest is found in each file."""
    written = getattr(data, "dialect", data)
    named = {name: value for name in FORM if (value := getattr(written, name, ""))}
    encoding = getattr(written, "encoding", "")
    return {
        **({"encoding": encoding} if encoding else {}),
        **({"form": named} if named else {}),
        **({"missing": list(data.missing)} if hasattr(data, "missing") else {}),
    }


def _are_dates(values: Iterable[bytes]) -> bool:
    texts = [value.decode(errors="replace") for value in values if value]
    return bool(texts) and sum(dates.iso(text) is not None for text in texts) > MOSTLY_DATES * len(texts)
