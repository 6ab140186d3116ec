"""Things to record of which one may fail without taking the others with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.tracking.destination import Destination


class Parts:
    """Does one thing after the other and reports what failed at the end.

    Args:
        destination: Asked after each failure whether it is still there; without it nothing else can work.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.problems: list[str] = []

    def do(self, name: str, action: Callable[[], object]) -> None:
        """Does one thing; a failure is kept for the end.

        Raises:
            Unreachable: MLflow is gone.
        """
        try:
            action()
        except Exception as error:  # noqa: BLE001  (whatever a picture or a table trips over)
            self.destination.probe()
            self.problems.append(f"{name}: {type(error).__name__}: {error}")

    def finish(self) -> None:
        """Raises if anything failed."""
        if self.problems:
            raise RuntimeError("; ".join(self.problems))
