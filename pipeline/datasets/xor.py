"""Exclusive or: the four rows of its truth table.

Source: M. Minsky, S. Papert, Perceptrons, MIT Press, 1969: no single layer can separate the two classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.formats.base import Example, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0))  # x, y, x xor y


@dataclass(frozen=True)
class Xor:
    """Raw inputs `x` and `y` (numbers), label `xor` ("0" or "1").

    The table has only four rows, so the test split is the table itself, and checks whether it was learned. The training
    rows are `copies` of each, numbered in `copy`, which is no input; it makes their hashes differ, so that
    `Official(eval=…)` has all four rows in eval.
    """

    copies: int = 512
    label: str = "xor"
    classes: tuple[str, ...] = ("0", "1")

    @property
    def inputs(self) -> dict[str, str]:
        """The two arguments."""
        return {"x": "float", "y": "float"}

    def files(self, data: Path) -> list[Path]:  # noqa: ARG002
        """Returns this file, which contains the table."""
        return [Path(__file__)]

    def examples(self, data: Path) -> Iterator[Example]:  # noqa: ARG002
        """Yields the table once as the test (copy 0), then its copies."""
        for copy in range(self.copies + 1):
            for x, y, xor in TABLE:
                features: dict[str, Value] = {"x": float(x), "y": float(y), "xor": str(xor).encode(), "copy": copy}
                yield Example(f"{x} xor {y}, copy {copy}", features, split="train" if copy else "test")


XOR = Xor()
