"""The result of a recipe's last real run, as its docstring records it, and whether it still holds for its code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.recipes import hyperparameters

if TYPE_CHECKING:
    from pipeline.recipes.catalog import RecipeSource

NOT_MEASURED = "not measured yet."
_LINE = re.compile(
    r"(?P<metric>\w+) (?P<value>-?[\d.]+), (?P<minutes>[\d.]+) minutes on (?P<hardware>[^,]+), "
    r"(?P<weights>[\d,]+) weights, recipe (?P<digest>[0-9a-f]{12})\."
)


@dataclass(frozen=True)
class RecordedResult:
    """The result of a real run with the default hyperparameters.

    Attributes:
        metric: Name of the metric that the gate asks for first.
        value: Its value on the test split.
        minutes: Of the whole run, data to published model.
        hardware: What it ran on, such as "2 cores".
        weights: Numbers in the network.
        digest: Of the recipe's code that ran; see `digest`.
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


def read_result(source: RecipeSource) -> RecordedResult | None:
    """The record in a recipe's docstring; None before its first real run."""
    match = _LINE.fullmatch(source.said("Reaches"))
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
    """Digest of all in a recipe that its result depends on: code without comments and docstrings, and defaults."""
    from pipeline.recipes import fingerprint

    defaults = {name: field.default for name, field in hyperparameters.fields(source).items()}
    return fingerprint.result_digest(source, defaults)[:12]


def replace_result(source: RecipeSource, result: RecordedResult) -> str:
    """The recipe's text with a new record in its docstring."""
    return re.sub(r"^Reaches: .*$", f"Reaches: {result}", source.text, count=1, flags=re.MULTILINE)
