"""What every data set declares and gives: inputs, label, classes and examples; and a data set under other names.

A served signature takes letters, digits and underscores only, so columns with other names are renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


Value = bytes | int | float | Sequence[float]


@dataclass(frozen=True)
class Example:
    """One row as it was found.

    Attributes:
        source: Where it was found, for messages: a file, or a file and a row.
        features: Raw values by name, the label among them; a missing value is absent, in a vector NaN.
        split: "train" or "test" where the data set says so itself.
        fault: Why the row cannot be used; empty if it can.
        begins: ISO time of the first thing that the row tells of, for splits by time.
        ends: ISO time of the last one; equal for one point in time.
    """

    source: str
    features: Mapping[str, Value]
    split: str = ""
    fault: str = ""
    begins: str = ""
    ends: str = ""


class Dataset(Protocol):
    """A data set: what it declares, which files it consists of, and its rows.

    Attributes:
        inputs: Kind of each raw input that a client sends: "bytes", "int", "float", or a vector such as "float[140]".
        label: Name of the label.
        classes: Declared classes in the order of the outputs; empty if the label is a number or a vector of numbers.
    """

    @property
    def inputs(self) -> dict[str, str]: ...  # noqa: D102

    @property
    def label(self) -> str: ...  # noqa: D102

    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102

    def files(self, data: Path) -> list[Path]:
        """Files and folders that the rows come from, fetched first where they are absent."""
        ...

    def examples(self, data: Path) -> Iterator[Example]:
        """All rows, in an order that does not change."""
        ...


@dataclass(frozen=True)
class Renamed:
    """Another data set's rows; inputs, label and further features have the names that clients send.

    Args:
        data: The data set.
        names: Name in the data set by the new name; a feature that is not among them keeps its own.
    """

    data: Dataset
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, str]:
        """The kinds by the new names."""
        return {self._new(name): kind for name, kind in self.data.inputs.items()}

    @property
    def label(self) -> str:
        """The new name of the label."""
        return self._new(self.data.label)

    @property
    def classes(self) -> tuple[str, ...]:
        """As in the data set."""
        return self.data.classes

    def files(self, data: Path) -> list[Path]:
        """As in the data set."""
        return self.data.files(data)

    def examples(self, data: Path) -> Iterator[Example]:
        """The rows, in the order of the data set."""
        for example in self.data.examples(data):
            yield replace(example, features={self._new(name): value for name, value in example.features.items()})

    def _new(self, name: str) -> str:
        return next((new for new, old in self.names.items() if old == name), name)
