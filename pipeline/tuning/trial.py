"""One trial of a search: its hyperparameters, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

COMPLETE, PRUNED, FAILED, INTERRUPTED = "complete", "pruned", "failed", "interrupted"


@dataclass
class Trial:
    """Hyperparameters and result of a trial.

    Attributes:
        number: From 0, in the order of the search.
        params: All hyperparameters.
        state: "complete", "pruned", "failed" or "interrupted".
        values: The objectives of the restored weights by name; empty without a result.
        epochs: Number of trained epochs.
        seconds: Duration in seconds.
        reason: Why it failed.
    """

    number: int
    params: dict[str, Any] = field(default_factory=dict)
    state: str = INTERRUPTED
    values: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""

    @property
    def value(self) -> float | None:
        """The only objective; None without a result, and with several."""
        return next(iter(self.values.values())) if len(self.values) == 1 else None

    def as_json(self) -> dict[str, Any]:
        """Returns the object of `--json`."""
        return {**asdict(self), "value": self.value}
