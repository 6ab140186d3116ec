"""Rows that a Python function of the recipe generates or reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, describe_cause
from pipeline.formats import table
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Generator:
    """A generator function over the data folder; its code is part of the recipe, so that changes are noticed.

    Args:
        function: (data) -> rows, each an `Example` or a mapping of raw values, always the same ones in the same order.
            `data` is the data folder. Values of a mapping are converted to the declared kinds; None and NaN are
            missing.
        columns: Kind of each input: "float", "int", "bytes", or "float[n]" for vectors.
        label: Name of the label.
        classes: Declared classes; empty if the label is a number.
        reads: Files and folders that the function reads, absolute or under the data folder, so that changes are
            noticed.
        extra: Kind of other values, which clients do not send, for `Group` splits and slices.
        time: Name of the value with the date of each row, for `Time` splits.
        missing: Texts that mean a missing value.
        max_rows: Rows after which the function is taken for one that never ends.
    """

    function: Callable[[Path], Iterable[Example | Mapping[str, Any]]]
    columns: Mapping[str, str]
    label: str
    classes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    missing: tuple[str, ...] = ("",)
    max_rows: int = 10_000_000

    @property
    def inputs(self) -> dict[str, str]:
        """The declared columns."""
        return dict(self.columns)

    def files(self, data: Path) -> list[Path]:
        """Returns the files and folders that the function reads.

        Raises:
            PipelineError: One does not exist.
        """
        return table.find_files(
            data, self.reads, f"a file or folder that {self.function.__name__}() reads", folders=True
        )

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the rows of the function.

        Raises:
            PipelineError: The function fails, or does not end.
        """
        layout = table.Layout.from_table(self)
        for number, row in enumerate(self._rows(data), 1):
            source = f"{self.function.__name__}() row {number}"
            if isinstance(row, Mapping):
                yield layout.example(source, row)
            elif isinstance(row, Example):
                yield row
            else:
                yield table.faulty_example(source, "", f"not an Example nor a mapping: {type(row).__name__}")

    def _rows(self, data: Path) -> Iterator[Any]:
        number = 0
        try:
            for number, row in enumerate(self.function(data), 1):
                self._require_end(number)
                yield row
        except PipelineError:
            raise
        except Exception as error:
            raise PipelineError(
                f"{self.function.__name__}() of the recipe fails after row {number}.",
                expected="a generator function over the data folder",
                received=describe_cause(error),
                action="correct the function in the recipe",
            ) from error

    def _require_end(self, number: int) -> None:
        if number > self.max_rows:
            raise PipelineError(
                f"{self.function.__name__}() of the recipe does not end.",
                expected=f"at most {self.max_rows:,} rows",
                received="more",
                action="end the function after the last row, or say max_rows= in Generator",
            )
