"""Records a run while it is running: replays the journal into MLflow, event by event, until the run ends.

The offset of the last recorded event is stored in the run's folder, so that a new recorder continues from there if one
was killed. While no events arrive, slow first uses of MLflow and Matplotlib (imports, fonts, the list of installed
packages) are done in advance, because somebody waits for the end of the run.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import subprocesses
from pipeline.store import journal
from pipeline.store.recording import RecordingState
from pipeline.tracking.client import Unreachable
from pipeline.tracking.run_context import SystemMetrics
from pipeline.tracking.writer import MlflowWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.store.journal import Event
    from pipeline.store.layout import RunFolder
    from pipeline.tracking.client import TrackingStore


POLL_S = 0.1
MAX_PAUSE_S = 15.0
MAX_ATTEMPTS = 2


class RunEnd:
    """Detects the end of a run: an `end` event in the journal, the end of its process, or SIGTERM.

    Args:
        journal: The run's journal.
        since: Offset in the journal where this run begins; a resumed run has an older part before it.
        parent: Process id of the run; 0 if it is not known.
    """

    def __init__(self, journal: Path, since: int, parent: int) -> None:
        self.journal = journal
        self.parent = parent
        self.stop_requested = False
        self._offset = since
        self._last = ""

    def listen(self) -> None:
        """Makes SIGTERM a request to stop once the journal is recorded."""
        signal.signal(signal.SIGTERM, self._request_stop)

    def has_ended(self) -> bool:
        """Whether no more events will come."""
        for event in journal.read_events(self.journal, self._offset):
            self._offset, self._last = event.end, event.kind
        return self._last == "end" or self.stop_requested or self._is_orphan()

    def _is_orphan(self) -> bool:
        # The run started this process, which gets another parent as soon as the run dies, even while that is a zombie.
        return self.parent != 0 and os.getppid() != self.parent

    def _request_stop(self, *_: object) -> None:
        self.stop_requested = True


def follow(replayer: JournalReplayer, run_end: RunEnd) -> None:
    """Records until the run has ended, and retries during outages of MLflow.

    Raises:
        Unreachable: MLflow did not answer when the run ended.
    """
    system = SystemMetrics(replayer.destination.uri)
    pause, prewarming = POLL_S, prewarm()
    try:
        while True:
            # Checked first, so that events written before the end are still read.
            last = run_end.has_ended()
            try:
                replayer.all()
                pause = POLL_S
            except Unreachable:
                if last:
                    raise
                pause = min(2 * max(pause, 0.5), MAX_PAUSE_S)
            if last:
                return
            if pause == POLL_S:
                system.watch(replayer.state.mlflow_run_id)
                next(prewarming, None)
            _sleep(pause, run_end)
    finally:
        system.stop()


def _sleep(seconds: float, run_end: RunEnd) -> None:
    """Sleeps, but not past the end of the run."""
    until = time.monotonic() + seconds
    time.sleep(POLL_S)
    while time.monotonic() < until and not run_end.has_ended():
        time.sleep(POLL_S)


class RunDeletedError(Exception):
    """Somebody has deleted the run in MLflow, or its experiment, while it was being recorded."""


class JournalReplayer:
    """Records events and saves the offset, so that a later recorder can continue.

    Args:
        destination: The MLflow to write to.
        folder: The run's folder.
    """

    def __init__(self, destination: TrackingStore, folder: RunFolder) -> None:
        self.destination = destination
        self.folder = folder
        self.state = RecordingState.load(folder)
        self._portable_uri = folder.workspace.portable_uri(destination.uri)
        self._writer: MlflowWriter | None = None

    def all(self) -> None:
        """Records all new events of the journal.

        Raises:
            Unreachable: MLflow does not answer; the offset stays before the first event that is not recorded.
        """
        try:
            self._record_new()
        except RunDeletedError:  # by hand, in MLflow: it is recorded again as a whole
            self._writer = None
            self._record_new()
        except Unreachable as error:
            self.state.unreachable = error.reason
            self.state.save(self.folder)
            raise

    def _record_new(self) -> None:
        writer = self._writer or self._open_writer()
        for event in journal.read_events(self.folder.journal, self.state.offset):
            self._record_event(writer, event)

    def stop(self) -> None:
        """Marks a run as killed if its process is gone, so that MLflow does not show it as running."""
        if self._writer is not None and not self.state.complete:
            try:
                self._writer.stop()
            except Exception as error:  # noqa: BLE001  (the events are recorded, and that is what counts)
                self._report_problem(f"stop: {error}")
                self.state.save(self.folder)

    def _open_writer(self) -> MlflowWriter:
        """Opens the writer; starts from the beginning if the recorded run is not in this MLflow."""
        self.destination.probe()
        if not self._is_same_store():
            self.state = RecordingState(uri=self._portable_uri)
        self._writer = MlflowWriter(self.destination, self.folder, self.state)
        return self._writer

    def _is_same_store(self) -> bool:
        if self.state.uri != self._portable_uri:
            return False
        return not self.state.mlflow_run_id or self.destination.has_run(self.state.mlflow_run_id)

    def _record_event(self, writer: MlflowWriter, event: Event) -> None:
        problem = event.problem or self._try_record(writer, event)
        self.state.offset, self.state.unreachable = event.end, ""
        if event.kind in ("start", "end"):
            self.state.complete = event.kind == "end"
        if problem:
            self._report_problem(problem)
        # Progress events come many times a second and are not recorded in MLflow.
        if problem or event.kind != "progress":
            self.state.save(self.folder)

    def _try_record(self, writer: MlflowWriter, event: Event) -> str:
        """Records one event; returns the reason if that failed although MLflow answers, else an empty text."""
        problem = ""
        for _ in range(MAX_ATTEMPTS):
            try:
                writer.record(event.fields)
            except Unreachable:
                raise
            except Exception as error:
                self.destination.probe()
                if not self._is_same_store():
                    raise RunDeletedError from error
                problem = f"{event.kind}: {type(error).__name__}: {error}"
            else:
                return ""
        return problem

    def _report_problem(self, problem: str) -> None:
        print(f"not recorded: {problem}", file=sys.stderr, flush=True)
        self.state.note(problem)


def prewarm() -> Iterator[None]:
    """Does one part per iteration, so that the end of a run is noticed between two parts."""
    for part in (_import_modules, _draw_figure, _save_model):
        # What fails here fails again when it is needed, and is reported then.
        with suppress(Exception), subprocesses.pause_gc():
            part()
        yield


def _import_modules() -> None:
    from pipeline.tracking import evaluation

    evaluation.plot_functions()


def _draw_figure() -> None:
    from pipeline.plots.errors import confusion

    confusion([[1, 0], [0, 1]], ["no", "yes"]).savefig(BytesIO())


def _save_model() -> None:
    from pipeline.tracking import model_registry

    with tempfile.TemporaryDirectory(prefix="keraspipe-") as folder:
        model = Path(folder) / "saved_model"
        model.mkdir()
        model_registry.save_pyfunc(Path(folder) / "model", model)
