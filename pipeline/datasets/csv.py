"""A CSV file with a header."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.datasets.example import Example, Value
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _int64(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(text)
    return value


PARSERS: dict[str, Callable[[str], Value]] = {"bytes": str.encode, "int": _int64, "float": _finite}


@dataclass(frozen=True)
class Csv:
    """Raw inputs are the declared columns; further columns of the file are passed over.

    Args:
        path: File, absolute or under the data folder.
        columns: Kind of each input column: "float", "int" or "bytes" (text).
        label: Column of the label.
        classes: Declared classes; empty if the label is a number.
    """

    path: str
    columns: Mapping[str, str]
    label: str
    classes: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, str]:
        """The declared columns."""
        return dict(self.columns)

    def files(self, data: Path) -> list[Path]:
        """The file.

        Raises:
            PipelineError: There is no such file.
        """
        path = data / Path(self.path).expanduser()
        if not path.is_file():
            raise PipelineError(
                f"There is no file {path}.",
                expected="a CSV file with a header",
                received="a folder" if path.exists() else "nothing at that path",
                action="correct the recipe's path, or set KERASPIPE_DATA to the folder above it",
            )
        return [path]

    def examples(self, data: Path) -> Iterator[Example]:
        """The rows in the order of the file; an empty cell is a missing value.

        Raises:
            PipelineError: A declared column is missing.
        """
        (path,) = self.files(data)
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            self._check_header(path, reader.fieldnames or [])
            for row in reader:
                yield self._example(f"{path} line {reader.line_num}", row)

    def _check_header(self, path: Path, header: Sequence[str]) -> None:
        missing = [name for name in [*self.columns, self.label] if name not in header]
        if missing:
            raise PipelineError(
                f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.",
                expected=f"the columns {', '.join([*self.columns, self.label])}",
                received=", ".join(header) or "an empty file",
                action="add the column to the file, or take it out of the recipe",
            )

    def _example(self, source: str, row: dict[str, str]) -> Example:
        kinds = {**self.columns, self.label: "bytes" if self.classes else "float"}
        features: dict[str, Value] = {}
        for name, kind in kinds.items():
            text = (row[name] or "").strip()
            if text:
                try:
                    features[name] = PARSERS[kind](text)
                except ValueError:
                    return Example(source, {}, fault=f"column {name} is not of kind {kind}: {text[:40]!r}")
        fault = "" if self.label in features else f"the label {self.label} is empty"
        return Example(source, features, fault=fault)
