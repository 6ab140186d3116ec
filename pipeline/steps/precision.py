"""Whether the numbers of the rows outlive float32, in which a run computes: seen before they become TFRecords."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.baseline.even_sample import EvenSample
from pipeline.features.types import parse_kind
from pipeline.tables.precision import LEAST_STEPS, find_coarse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.formats.base import Dataset, Example

ROWS, NUMBERS = 2_000, 100_000  # of the sample, at most
STEPS_OF_A_VECTOR = 64
LARGEST = 3.4e38  # of float32, about


@dataclass
class NumberSample:
    """An even sample of the numbers of a data set.

    Attributes:
        data: The data set.
        sample: Rows, each with its numbers by name.
    """

    data: Dataset
    sample: EvenSample = field(default_factory=lambda: EvenSample(ROWS, NUMBERS))

    def watch(self, examples: Iterator[Example]) -> Iterator[Example]:
        """Yields rows, and takes some into the sample."""
        names = [name for name, kind in self.data.inputs.items() if parse_kind(kind)[0] == "float"]
        names += [self.data.label] * (not self.data.classes)
        for example in examples:
            if names and self.sample.is_next():
                row = {name: _list_numbers(example.features.get(name)) for name in names}
                self.sample.add(row, sum(map(len, row.values())))
            yield example

    def require_fine(self) -> list[str]:
        """Returns a warning for each column of which float32 keeps little.

        Raises:
            PipelineError: It keeps little of the label.
        """
        warnings = []
        for name in self.sample.items[0] if self.sample.items else ():
            coarse = find_coarse([number for row in self.sample.items for number in row[name]])
            if coarse and name == self.data.label and coarse.is_lost:
                raise coarse.error(name, LEAST_STEPS, "label")
            if coarse and (name == self.data.label or (coarse.is_lost and not coarse.exact)):
                warnings.append(f"{name}: {coarse.describe()}; {coarse.advise(name)}")
        return warnings


def _list_numbers(value: Any) -> list[float]:
    """Returns the numbers of a value, of a vector the first ones; empty where it has none."""
    import numpy as np

    if value is None or isinstance(value, bytes | str):
        return []
    values = np.asarray(value).reshape(-1)[:STEPS_OF_A_VECTOR]
    if values.dtype.kind not in "iuf":
        return []
    values = values.astype(np.float64)
    return [number for number in values.tolist() if abs(number) <= LARGEST]
