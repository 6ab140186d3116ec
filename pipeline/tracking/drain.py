"""Carrying a run's journal into MLflow, from where it was left to where it ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pipeline.tracking import events
from pipeline.tracking.errors import Unreachable
from pipeline.tracking.scribe import Scribe
from pipeline.tracking.state import State

if TYPE_CHECKING:
    from pipeline.tracking.destination import Destination
    from pipeline.tracking.events import Event
    from pipeline.workspace import RunFolder

ATTEMPTS = 2


class Drain:
    """Records events and keeps account of it, so that whoever comes after can go on.

    Args:
        destination: The MLflow to write to.
        folder: The run's folder.
    """

    def __init__(self, destination: Destination, folder: RunFolder) -> None:
        self.destination = destination
        self.folder = folder
        self.state = State.load(folder)
        self._scribe: Scribe | None = None

    def all(self) -> None:
        """Records all that lies in the journal.

        Raises:
            Unreachable: MLflow is away; the offset stays before the event that it has not seen.
        """
        try:
            scribe = self._scribe or self._open()
            for event in events.read(self.folder.journal, self.state.offset):
                self._one(scribe, event)
        except Unreachable as error:
            self.state.unreachable = error.reason
            self.state.save(self.folder)
            raise

    def stop(self) -> None:
        """Leaves no run behind that looks alive although its process is gone."""
        if self._scribe is not None and not self.state.complete:
            try:
                self._scribe.stop()
            except Exception as error:  # noqa: BLE001  (the events are recorded, and that is what counts)
                self._fail(f"stop: {error}")
                self.state.save(self.folder)

    def _open(self) -> Scribe:
        """Starts from the beginning where what was recorded is not in this MLflow."""
        self.destination.probe()
        if not self._known():
            self.state = State(uri=self.destination.uri)
        self._scribe = Scribe(self.destination, self.folder, self.state)
        return self._scribe

    def _known(self) -> bool:
        if self.state.uri != self.destination.uri:
            return False
        return not self.state.mlflow_run_id or self.destination.has_run(self.state.mlflow_run_id)

    def _one(self, scribe: Scribe, event: Event) -> None:
        problem = event.problem or self._attempt(scribe, event)
        self.state.offset, self.state.unreachable = event.end, ""
        if event.kind in ("start", "end"):
            self.state.complete = event.kind == "end"
        if problem:
            self._fail(problem)
        # Progress comes many times a second and leaves nothing in MLflow.
        if problem or event.kind != "progress":
            self.state.save(self.folder)

    def _attempt(self, scribe: Scribe, event: Event) -> str:
        """Records one event and returns why that did not work, if it did not although MLflow is there."""
        problem = ""
        for _ in range(ATTEMPTS):
            try:
                scribe.record(event.fields)
            except Unreachable:
                raise
            except Exception as error:  # noqa: BLE001  (one bad event must not take the others with it)
                self.destination.probe()
                problem = f"{event.kind}: {type(error).__name__}: {error}"
            else:
                return ""
        return problem

    def _fail(self, problem: str) -> None:
        print(f"not recorded: {problem}", file=sys.stderr, flush=True)
        self.state.note(problem)
