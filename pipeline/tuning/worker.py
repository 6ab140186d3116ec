"""Prepares the data of a trial, and runs the process that trains it.

The train and eval splits and the Transform graph come from the ordinary steps and their cache. The process trains one
trial after the other; if it dies, this ends the trial and not the search.
"""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline import subprocesses
from pipeline.recipes import fingerprint, hyperparameters
from pipeline.runner import execution
from pipeline.runs import run
from pipeline.store import journal

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipeline.runs.run import RunRequest


TRIALS_PER_PROCESS = 10  # TensorFlow does not free all memory of a trained network
PREPARATION_STEPS = ("ingest", "schema", "transform")  # the ones before the training that may depend on hyperparameters


class Worker:
    """Starts the training process when needed, and a new one after it died or trained `TRIALS_PER_PROCESS` trials.

    Args:
        log: File for what TensorFlow prints.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: subprocess.Popen[str] | None = None
        self._done = 0

    def train(self, task: dict[str, Any], report: Callable[[int, dict[str, float]], bool]) -> dict[str, Any]:
        """Trains one trial.

        Args:
            task: See `pipeline.tuning.__main__`.
            report: (epoch, metrics) -> whether to continue; called after every epoch, the first is 1.

        Returns:
            {"state": "complete", "value", "epochs"}, {"state": "pruned"} or {"state": "failed" or "refused",
            "reason"}.
        """
        process = self._ensure_process()
        self._done += 1
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # it has died, as reading its answer will show
            print(json.dumps(task), file=process.stdin, flush=True)
            for line in process.stdout:
                message = json.loads(line)
                if "state" in message:
                    return dict(message)
                goes_on = report(message["epoch"], message["metrics"])
                print(json.dumps(goes_on), file=process.stdin, flush=True)
        return {"state": "failed", "reason": self._describe_death(process)}

    def close(self) -> None:
        """Kills the process, which has nothing to save."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process, self._done = None, 0

    def _describe_death(self, process: subprocess.Popen[str]) -> str:
        code = process.wait()
        self.close()
        if code == -signal.SIGKILL:
            return "its process was killed from outside (signal 9), as happens when memory runs out"
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"its process {how}, see {self.log}"

    def _ensure_process(self) -> subprocess.Popen[str]:
        if self._process is None or self._done >= TRIALS_PER_PROCESS:
            self.close()
            self._process = self._start_process()
        return self._process

    def _start_process(self) -> subprocess.Popen[str]:
        with self.log.open("ab") as log:
            return subprocesses.start_worker("pipeline.tuning", cwd=self.log.parent, log=log)


LAST_STEP = PREPARATION_STEPS[-1]


@dataclass(frozen=True)
class Preparation:
    """Folders of the prepared data. The test split is not among them, because trials must not use it.

    Attributes:
        run_id: The run that prepared them.
        data_digest: Digest of the data set's files.
        train: Folder of the train split's TFRecords.
        eval: Folder of the eval split's TFRecords.
        graph: Folder of the Transform graph.
    """

    run_id: str
    data_digest: str
    train: Path
    eval: Path
    graph: Path


def prepare_data(request: RunRequest, values: Mapping[str, Any], waiting: Callable[[], None]) -> Preparation:
    """Runs the steps up to transform, or takes the results of an earlier run.

    Args:
        request: The search's request.
        values: All hyperparameters of a trial. Only those that the steps read are used; the others are taken
            from the recipe, so that trials and searches share equal data.
        waiting: Called when another process runs the same steps.
    """
    shared = {name: field.default for name, field in hyperparameters.fields(request.source).items()}
    read = {name for step in PREPARATION_STEPS for name in fingerprint.step_params(request.source, step, shared)}
    wanted = replace(request, params={**shared, **{name: values[name] for name in read}}, seed=1, until=LAST_STEP)
    preparation = _read_preparation(request, execution.execute_request(wanted, waiting).run_id)
    if not all(path.is_dir() for path in (preparation.train, preparation.eval, preparation.graph)):
        run.forget_request(wanted)  # the record is left but its files are not: `keraspipe gc` removes cached steps
        preparation = _read_preparation(request, execution.execute_request(wanted, waiting).run_id)
    return preparation


def _read_preparation(request: RunRequest, run_id: str) -> Preparation:
    outputs: dict[str, Any] = {}
    digest = ""
    for event, _ in journal.iter_events(request.settings.workspace.run(run_id).journal):
        if event["event"] == "execution":
            outputs[event["name"]] = event["outputs"]
        digest = event.get("tags", {}).get("data_digest", digest)
    home = request.settings.workspace  # the journal's paths are relative to it
    examples = home.inside(outputs["ingest"]["examples"][0]["uri"])
    graph = home.inside(outputs[LAST_STEP]["transform_graph"][0]["uri"])
    return Preparation(run_id, digest, examples / "Split-train", examples / "Split-eval", graph)
