"""The life cycle of a run: its lock, its journal, the process that records it in MLflow, its start and its end.

Runs, the tasks of a run on Kubeflow and hyperparameter searches all use it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.console import say
from pipeline.recipes import fingerprint
from pipeline.runs import run
from pipeline.store import fileio, journal, relocation
from pipeline.tracking import recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.recipes.catalog import RecipeSource
    from pipeline.runs.run import RunRequest, RunResult
    from pipeline.store.layout import RunFolder
    from pipeline.tracking.recorder import Outcome, Recording


@dataclass
class RunSession:
    """A run in progress in this process; created by `run_session`.

    Attributes:
        folder: The run's folder.
        uri: MLflow server or database.
        recording: The process that records it in MLflow.
        timeout_s: Longest wait for the end of that process, in seconds.
        has_ended: Whether the journal contains the run's end.
        is_published: Whether the run's model has a version; an error after that does not make the run a failed one.
    """

    folder: RunFolder
    uri: str
    recording: Recording
    timeout_s: float
    has_ended: bool = False
    is_published: bool = False
    _since: float = field(default_factory=time.monotonic)

    def start(self, recipe: str, description: str, params: dict[str, Any], tags: dict[str, str]) -> None:
        """Writes the start of a run to the journal, or adds facts to it."""
        about = {"recipe": recipe, "description": description, "params": params, "tags": tags}
        journal.report("start", run_id=self.folder.run_id, **about)

    def start_run(self, request: RunRequest, **tags: str) -> None:
        """Writes the request, and the digests of code and request, to the journal."""
        code = fingerprint.run_digest(request.source, run.RUNNER)
        params = {**request.params, "seed": request.seed, "quick": request.quick}
        digests = {"code_digest": code, "request_digest": request.key} | ({"quick": "true"} if request.quick else {})
        self.start(request.name, request.source.heading.title, params, {**digests, **tags})

    def record_environment(self) -> None:
        """Saves the run's environment: machine, packages, commit."""
        from pipeline.runs import environment

        fileio.write_json(self.folder.environment, environment.describe_environment())
        journal.report("environment", path=self.folder.workspace.relative(self.folder.environment))

    def record_card(self, source: RecipeSource) -> None:
        """Writes the card of the run's model.

        Raises:
            Exception: The record is incomplete, in whatever part.
        """
        from pipeline.reports import card

        home, run_id = self.folder.workspace, self.folder.run_id
        card.write_card(home, source, run_id)
        markdown, html = (home.relative(path) for path in card.card_paths(home, run_id))
        journal.report("card", markdown=markdown, html=html)

    def end(self, status: str, message: str = "", seconds: float | None = None) -> Outcome:
        """Writes the run's end to the journal, and waits until it is recorded in MLflow.

        Args:
            status: "finished", "not_blessed" or "failed".
            message: The reason, if it is not finished.
            seconds: Duration; None for the time since the session began.
        """
        self.report_end(status, message, seconds)
        return self.recording.finish(self.timeout_s)

    def report_end(self, status: str, message: str = "", seconds: float | None = None) -> None:
        """Writes the run's end to the journal without waiting; see `end`."""
        duration = time.monotonic() - self._since if seconds is None else seconds
        journal.report("end", status=status, message=message, seconds=duration)
        self.has_ended = True

    def end_run(self, result: RunResult) -> Outcome:
        """Ends a run with its result, as `end` does."""
        status = "not_blessed" if result.blessed is False else "finished"
        with self.tolerate_late_errors(result):
            self.report_end(status, "; ".join(result.reasons), result.seconds)
        return self.recording.finish(self.timeout_s)

    @contextmanager
    def tolerate_late_errors(self, result: RunResult) -> Iterator[None]:
        """Adds an error of the disk to the result if the model is published: the run has not failed then."""
        try:
            yield
        except OSError as error:
            if not self.is_published:
                raise
            result.add_late_error(error)

    def warn_unrecorded(self, outcome: Outcome) -> None:
        """Says on the terminal what is missing in MLflow, if anything is."""
        missing = outcome.describe(self.uri)
        if missing:
            say(f"Not recorded in MLflow: {missing}", error=True)

    def suspend(self) -> None:
        """Has the recorder record all events so far, without an end: the run continues in another process."""
        self.recording.process.terminate()
        self.recording.finish(self.timeout_s)


@contextmanager
def run_session(
    folder: RunFolder,
    uri: str,
    *,
    timeout_s: float,
    on_wait: Callable[[], None] | None = None,
    on_failure: Callable[[], None] | None = None,
) -> Iterator[RunSession]:
    """Holds a run's lock, writes to its journal and has it recorded in MLflow during the block.

    An error within the block ends the run as failed. An interruption writes no end, like a kill: the recorder notices
    the death of the process, and the run continues under the same id when it is requested again.

    Args:
        folder: The run's folder.
        uri: MLflow server or database.
        timeout_s: Longest wait for the recorder, in seconds; after that it continues in the background.
        on_wait: Called when another process holds the run.
        on_failure: Called when the run ends as failed.
    """
    with relocation.hold_location(folder.workspace), fileio.lock(folder.lock, on_wait):
        recording = recorder.start_recording(folder.workspace, folder.run_id, uri, folder.mlflow_log)
        session = RunSession(folder, uri, recording, timeout_s)
        with journal.use_journal(folder.journal):
            try:
                yield session
            except Exception as error:
                if not session.has_ended:
                    _fail(session, error, on_failure)
                raise


def _fail(session: RunSession, error: Exception, on_failure: Callable[[], None] | None) -> None:
    with suppress(OSError):  # a full disk may be the very error, which is reported next
        session.report_end("finished" if session.is_published else "failed", str(error))
        if on_failure and not session.is_published:
            on_failure()
    session.warn_unrecorded(session.recording.finish(session.timeout_s))
