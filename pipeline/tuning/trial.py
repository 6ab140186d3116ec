"""One trial of a search as it is shown and recorded."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

COMPLETE, PRUNED, FAILED, INTERRUPTED = "complete", "pruned", "failed", "interrupted"


@dataclass
class Trial:
    """What was tried, and what came of it.

    Attributes:
        number: From 0, in the order of the search.
        params: All hyperparameters.
        state: "complete", "pruned", "failed" or "interrupted".
        value: The objective of the weights that were kept; None if it never came so far.
        epochs: Epochs that were trained.
        seconds: How long it took.
        reason: Why it failed.
    """

    number: int
    params: dict[str, Any] = field(default_factory=dict)
    state: str = INTERRUPTED
    value: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        return asdict(self)
