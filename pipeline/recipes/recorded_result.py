"""The result of a recipe's last full run, as its docstring records it, with the digest of the code that ran."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.recipes import hyperparameters

if TYPE_CHECKING:
    from pipeline.recipes.catalog import Heading, RecipeSource

NOT_MEASURED = "not measured yet."
_LINE = re.compile(
    r"(?P<metric>\w+) (?P<value>-?[\d.]+), (?P<minutes>[\d.]+) minutes on (?P<hardware>[^,]+), "
    r"(?P<weights>[\d,]+) weights, recipe (?P<digest>[0-9a-f]{12})\."
)


@dataclass(frozen=True)
class RecordedResult:
    """The result of a full run with the default hyperparameters.

    Attributes:
        metric: Name of the first metric of the gate.
        value: Its value on the test split.
        minutes: Duration of the whole run, from data to published model.
        hardware: The machine, such as "2 cores".
        weights: Number of weights of the network.
        digest: Digest of the recipe's code, see `recorded_digest`.
    """

    metric: str
    value: float
    minutes: float
    hardware: str
    weights: int
    digest: str

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.value:.4g}, {self.minutes:.1f} minutes on {self.hardware}, "
            f"{self.weights:,} weights, recipe {self.digest}."
        )


def read_result(heading: Heading) -> RecordedResult | None:
    """Reads the record in a recipe's docstring; None before its first full run."""
    match = _LINE.fullmatch(heading.field("Reaches"))
    if not match:
        return None
    fields = match.groupdict()
    return RecordedResult(
        fields["metric"],
        float(fields["value"]),
        float(fields["minutes"]),
        fields["hardware"],
        int(fields["weights"].replace(",", "")),
        fields["digest"],
    )


def recorded_digest(source: RecipeSource) -> str:
    """Returns the digest of a recipe's code, without comments and docstrings, and of its default hyperparameters."""
    from pipeline.recipes import fingerprint

    defaults = {name: field.default for name, field in hyperparameters.fields(source).items()}
    return fingerprint.result_digest(source, defaults)[:12]


def replace_result(source: RecipeSource, result: RecordedResult) -> str:
    """Returns the recipe's text with a new record in its docstring."""
    return re.sub(r"^Reaches: .*$", f"Reaches: {result}", source.text, count=1, flags=re.MULTILINE)
