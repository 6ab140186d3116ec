"""The interface of a data set: inputs, label, classes and examples; and a data set with renamed columns.

The inputs of a served signature may contain letters, digits and underscores only, so other columns are renamed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping
    from pathlib import Path


Value = bytes | int | float | Sequence[Any]
SHOWN_KINDS = 5
# Figures, times and quoted values; not a number that is the name of a column.
_VALUE = re.compile(r"(?<![\w.])(?<!column )(?<!label )\d(?:[\w.,:-]*\w)?|(?<!\w)'[^']*'(?!\w)")


@dataclass(frozen=True)
class Example:
    """One row of a data set.

    Attributes:
        source: Its place, for messages: a file, or a file and a row.
        features: Raw values by name, the label or the targets among them; a missing value is absent, in a vector NaN.
        split: "train", "eval" or "test" if the data set has an official split; else empty.
        fault: Why the row cannot be used; empty if it can.
        begins: ISO time of the beginning of the row, for splits by time.
        ends: ISO time of its end; equal for one point in time.
        repeated: How many parts of its targets came twice, and are kept once.
    """

    source: str
    features: Mapping[str, Value]
    split: str = ""
    fault: str = ""
    begins: str = ""
    ends: str = ""
    repeated: int = 0


class Dataset(Protocol):
    """A data set: its declaration, its files, and its rows.

    Attributes:
        inputs: Kind of each raw input that a client sends: "bytes", "int", "float", or a vector such as "float[140]".
        label: Name of the label; empty if the data set has targets.
        classes: Declared classes in the order of the outputs; empty if the label is a number or a vector of numbers.

    A data set whose rows are answered with more than a label has an attribute `targets`: the kind of each part by name,
    such as {"boxes": "float[64,4]", "classes": "int[64]"} or {"mask_bytes": "bytes"}; see `pipeline.features.targets`.
    One with features that name where a row is from, so that each split has other ones, has an attribute `identifiers`.

    A data set of several relations, such as ratings and films or papers and citations, yields the rows of one and has
    a method `tables(data) -> {name: array}` for the others. The network gets them (`Spec.tables`) as they are, in all
    splits alike; so nothing of them may say what the rows are answered with. Text is an array of bytes, dtype "S…".
    """

    @property
    def inputs(self) -> dict[str, str]: ...  # noqa: D102

    @property
    def label(self) -> str: ...  # noqa: D102

    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102

    def files(self, data: Path) -> list[Path]:
        """Returns the files and folders of the rows; downloads missing ones first."""
        ...

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields all rows, always in the same order."""
        ...


@dataclass(frozen=True)
class RenamedColumns:
    """Another data set's rows; inputs, label and further features have the names that clients send.

    Args:
        data: The data set.
        names: Name in the data set by new name; other features keep their names.
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
        """Returns the files of the data set."""
        return self.data.files(data)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the rows, in the order of the data set."""
        for example in self.data.examples(data):
            yield replace(example, features={self._new(name): value for name, value in example.features.items()})

    def _new(self, name: str) -> str:
        return next((new for new, old in self.names.items() if old == name), name)


def fault_kind(fault: str) -> str:
    """Returns what a fault has in common with others: what stands before a colon, or all of it without its values."""
    kind, colon, _ = fault.partition(": ")
    return kind if colon else _VALUE.sub("…", fault)


def list_kinds(kinds: Counter[str]) -> str:
    """Lists the most frequent kinds, each with its number where there are several."""
    shown = [f"{count:,} times {kind}" if len(kinds) > 1 else kind for kind, count in kinds.most_common(SHOWN_KINDS)]
    more = sum(kinds.values()) - sum(count for _, count in kinds.most_common(SHOWN_KINDS))
    return "; ".join([*shown, *([f"{more:,} others"] if more else [])])
