"""What can be wrong with the place that runs are recorded in."""

from __future__ import annotations

from typing import Self

from pipeline.errors import PipelineError


class Unreachable(PipelineError):  # noqa: N818  (reads as what it says: `except Unreachable`)
    """MLflow does not answer, or refuses; nothing is lost, because the journal keeps what it has not seen.

    Args:
        uri: Where MLflow should be.
        reason: What went wrong, in MLflow's or the system's words.
    """

    exit_code = 4

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(
            "MLflow cannot be reached.",
            expected=f"a tracking server or database at {uri}",
            received=reason,
            action="start the server or correct MLFLOW_TRACKING_URI; the next run records what is missing",
        )
        self.reason = reason

    @classmethod
    def because(cls, uri: str, error: Exception) -> Self:
        """The error as MLflow or the system gave it, in one line."""
        return cls(uri, f"{type(error).__name__}: {error}".splitlines()[0][:300])
