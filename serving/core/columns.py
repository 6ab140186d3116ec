"""The names that a model's inputs have in the file that it was trained on, and which of them may be missing.

A version of keraspipe has them in `assets.extra/columns.json`. A request that does not fit the signature as it is, is
read once more with these names; what is missing becomes NaN or "", as in training.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from serving.wire.dtypes import Dtype

FILE = "assets.extra/columns.json"
MISSING = (None, "", "nan", "NaN", "null", "NA", "N/A")


@dataclass(frozen=True)
class Columns:
    """Names of a model's inputs.

    Attributes:
        names: Input by its column in the file.
        optional: Inputs that may be missing.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    def fit(self, document: dict[str, Any], inputs: Mapping[str, Dtype]) -> dict[str, Any] | None:
        """Returns a predict request's body with the names of the inputs and values for what is missing.

        Args:
            document: The body, with `instances` or `inputs`.
            inputs: Types of the signature's inputs by name.

        Returns:
            None if that changes nothing.
        """
        if not self.names or not (self.names.keys() | set(self.names.values())) & inputs.keys():
            return None
        changed = dict(document)
        rows, columns = document.get("instances"), document.get("inputs")
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            changed["instances"] = [self._fit_row(row, inputs) for row in rows]
        if isinstance(columns, dict):
            changed["inputs"] = self._fit_columns(columns, inputs)
        return None if changed == document else changed

    def _fit_row(self, row: dict[str, Any], inputs: Mapping[str, Dtype]) -> dict[str, Any]:
        named = self._rename(row, inputs)
        return named | {
            name: _missing_value(dtype)
            for name, dtype in inputs.items()
            if name in self.optional and _is_missing(named.get(name), dtype)
        }

    def _fit_columns(self, columns: dict[str, Any], inputs: Mapping[str, Dtype]) -> dict[str, Any]:
        named = self._rename(columns, inputs)
        count = next((len(column) for column in named.values() if isinstance(column, list)), 0)
        for name in self.optional & inputs.keys():
            column, dtype = named.get(name, [None] * count), inputs[name]
            if isinstance(column, list):
                named[name] = [_missing_value(dtype) if _is_missing(cell, dtype) else cell for cell in column]
        return named

    def _rename(self, values: dict[str, Any], inputs: Mapping[str, Dtype]) -> dict[str, Any]:
        """An input's own name comes first."""
        return {
            name if name in inputs or self.names.get(name) in values else self.names.get(name, name): value
            for name, value in values.items()
        }


def _is_missing(value: Any, dtype: Dtype) -> bool:
    return value is None if dtype.name == "string" else isinstance(value, str | None) and value in MISSING


def _missing_value(dtype: Dtype) -> Any:
    return "" if dtype.name == "string" else math.nan


def read_columns(model: Path) -> Columns:
    """Returns the names that a version has; none for one of other origin, or where the file is damaged."""
    try:
        stored = json.loads((model / FILE).read_bytes())
        return Columns({column: name for name, column in stored["columns"].items()}, frozenset(stored["optional"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Columns()
