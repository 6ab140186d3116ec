"""The layout of a workspace: the path of everything that runs leave there, and whether the folder can be used.

No other module joins these names to a path; the files inside an artifact are named by the step that writes them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.store import fileio

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
NEEDED_BYTES = 200 << 20


class PathBelow:
    """A path that always has the same name below its owner's `root`."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __get__(self, owner: Workspace | RunFolder, kind: type) -> Path:
        return owner.root.joinpath(*self._names)


@dataclass(frozen=True)
class Workspace:
    """The layout of a workspace. A plural is the folder of all; a method names one of them.

    Attributes:
        root: The folder.
    """

    root: Path

    format_file = PathBelow("workspace.json")  # the version of this layout
    trash = PathBelow(".removed")  # what `keraspipe gc` is about to delete

    runs = PathBelow("runs")
    requests = PathBelow("requests")  # an index that leads from a request to its last run
    artifacts = PathBelow("artifacts")  # what the steps make: RECIPE/STEP/KEY/EXECUTION
    metadata_db = PathBelow("metadata.db")  # ML Metadata's SQLite database, which tells where they come from
    checkpoints = PathBelow("checkpoints")  # of trainings that have not ended

    models = PathBelow("serving")  # published versions as model servers read them: NAME/VERSION
    live_links = PathBelow("serving", ".live")  # a folder for each alias, with one link to the version that is live
    models_config = PathBelow("serving", "models.config")  # what model servers are to serve
    champions = PathBelow("champions")  # a record for each recipe: which versions its aliases name

    mlflow_db = PathBelow("mlflow.db")  # MLflow's SQLite database, where there is no tracking server
    mlflow_artifacts = PathBelow("mlartifacts")  # by experiment, where there is no tracking server
    mlflow_lock = PathBelow(".mlflow.lock")  # held by whoever makes the tables of that database

    request_log = PathBelow("request-log")  # of a server that is started on this workspace
    monitoring = PathBelow("monitoring")  # reports of `keraspipe monitor`: RECIPE/TIME
    monitoring_lock = PathBelow("monitoring", ".recorder.lock")  # held by whoever gives them to MLflow
    monitoring_log = PathBelow("monitoring", "mlflow.txt")  # what that process prints

    replay_log = PathBelow("replay.txt")  # what the process prints that gives earlier runs to MLflow
    aliases_log = PathBelow("aliases.txt")  # what the process prints that gives aliases to MLflow
    dashboard_log = PathBelow("dashboard.log")  # what MLflow's server prints
    serve_log = PathBelow("serve.txt")  # what TensorFlow prints in `keraspipe serve`

    runs_lock = PathBelow("locks", "runs")  # shared by all runs; who holds it alone may remove what they could need
    models_config_lock = PathBelow("locks", "models-config")  # held by whoever writes what model servers read

    def __str__(self) -> str:
        return str(self.root)

    def absolute(self) -> Workspace:
        """The same workspace, whatever the current folder becomes."""
        return Workspace(self.root.absolute())

    def relative(self, path: Path) -> str:
        """A path as the journal names it, which holds when the workspace is moved."""
        return str(path.relative_to(self.root))

    def inside(self, relative: str) -> Path:
        """The path that the journal names so."""
        return self.root / relative

    def require_path(self, relative: str) -> Path:
        """The path that the journal names so, if it is still there.

        Raises:
            FileNotFoundError: It is not.
        """
        path = self.inside(relative)
        if not path.exists():
            raise FileNotFoundError(f"{path} is gone")
        return path

    def run(self, run_id: str) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self, run_id)

    def run_folders(self, recipe: str = "") -> list[RunFolder]:
        """The runs there are, of one recipe or of all, in the order of their ids; those of a recipe sort by time."""
        pattern = f"{recipe}-*" if recipe else "*"
        return [self.run(path.name) for path in sorted(self.runs.glob(pattern)) if path.is_dir()]

    def request(self, key: str) -> Path:
        """The index's entry of a request."""
        return self.requests / f"{key}.json"

    def data_digest(self, recipe: str) -> Path:
        """The digest of a recipe's data files."""
        return self.root / "data" / f"{recipe}.json"

    def recipe_artifacts(self, recipe: str) -> Path:
        """What a recipe's steps have made: STEP/KEY/EXECUTION."""
        return self.artifacts / recipe

    def checkpoint(self, digest: str) -> Path:
        """The checkpoints of the training with this digest."""
        return self.checkpoints / digest[:16]

    def schema(self, recipe: str) -> Path:
        """The schema that a recipe's first blessed run has frozen."""
        return self.root / "schemas" / recipe / "schema.pbtxt"

    def model_versions(self, name: str) -> Path:
        """The folder of a model's versions."""
        return self.models / name

    def model(self, name: str, version: int) -> Path:
        """The serving directory of a version."""
        return self.model_versions(name) / str(version)

    def champion(self, recipe: str) -> Path:
        """The record of a recipe's aliases."""
        return self.champions / f"{recipe}.json"

    def card(self, recipe: str, version: int) -> Path:
        """The card of a version in Markdown; the same as HTML is next to it."""
        return self.root / "cards" / recipe / f"{version}.md"

    def card_request(self, recipe: str, version: int) -> Path:
        """The request that a version's card shows, where it is too long for the page."""
        return self.root / "cards" / recipe / f"{version}.request.json"

    def synced_aliases(self, recipe: str) -> Path:
        """The aliases of a recipe as they were last given to MLflow."""
        return self.root / "aliases" / f"{recipe}.json"

    def baseline(self, recipe: str, examples: str) -> Path:
        """The distributions of training data; `examples` is the number of the ingest's execution."""
        return self.root / "profiles" / recipe / f"{examples}.json"

    def answers(self, recipe: str, digest: str) -> Path:
        """How the model with this digest answered to the test split."""
        return self.root / "profiles" / recipe / f"answers-{digest[:16]}.json"

    def request_lock(self, key: str) -> Path:
        """Held by the process that answers a request."""
        return self._lock(f"request-{key}")

    def publish_lock(self, recipe: str) -> Path:
        """Held by whoever changes the record of a recipe's aliases."""
        return self._lock(f"publish-{recipe}")

    def aliases_lock(self, recipe: str) -> Path:
        """Held by whoever gives a recipe's aliases to MLflow."""
        return self._lock(f"aliases-{recipe}")

    def _lock(self, name: str) -> Path:
        return self.root / "locks" / name


@dataclass(frozen=True)
class RunFolder:
    """What a run, or a search, keeps for itself.

    Attributes:
        workspace: The workspace.
        run_id: The run.
    """

    workspace: Workspace
    run_id: str

    lock = PathBelow("lock")  # held by the process that does the run
    journal = PathBelow("journal.jsonl")  # the events
    log = PathBelow("log.txt")  # what the libraries print
    result = PathBelow("result.json")  # what `run --json` prints

    recorded = PathBelow("recorded.json")  # how far MLflow knows the journal
    recorder_lock = PathBelow(".recorder.lock")  # held by the one process that records the run in MLflow
    mlflow_log = PathBelow("mlflow.txt")  # what that process prints

    request = PathBelow("request.json")  # the request, to repeat the run
    recipe = PathBelow("recipe")  # a copy of the recipe with the files that it imports
    environment = PathBelow("environment.json")  # machine, packages, commit

    rows_report = PathBelow("report.json")  # on rows that ended the run; otherwise it lies with the examples
    anomalies = PathBelow("anomalies.json")  # what in the data does not fit the schema
    evaluation = PathBelow("evaluation.json")  # the verdict on the model, with all numbers
    gate_page = PathBelow("gate.md")  # the verdict for a person
    card = PathBelow("card.md")  # the same as HTML is next to it

    kubeflow_state = PathBelow("kubeflow.json")  # what the run's next task needs to know
    study = PathBelow("study.db")  # the trials of a search, Optuna's SQLite database

    @property
    def root(self) -> Path:
        """The folder itself."""
        return self.workspace.runs / self.run_id

    def trial(self, number: int) -> Path:
        """What a trial of a search writes."""
        return self.root / "trials" / str(number)

    def trial_checkpoints(self, number: int) -> Path:
        """The checkpoints of a trial."""
        return self.trial(number) / "checkpoints"


def prepare(workspace: Workspace) -> None:
    """Makes a workspace, or checks that an existing one can be used.

    Raises:
        PipelineError: It cannot be written, has no room, or was written by a newer keraspipe.
    """
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
        content = fileio.read_json(workspace.format_file)
        if content is None:
            fileio.write_json(workspace.format_file, {"format": FORMAT})
        else:
            _require_known(workspace, content)
        _probe(workspace.root)
    except OSError as error:
        raise unwritable_error(workspace, error) from error
    _require_room(workspace)


def _probe(folder: Path) -> None:
    probe = folder / f".probe.{os.getpid()}"
    try:
        probe.write_bytes(b"x" * 4096)
    finally:
        probe.unlink(missing_ok=True)


def _require_room(workspace: Workspace) -> None:
    free = shutil.disk_usage(workspace.root).free
    if free < NEEDED_BYTES:
        raise PipelineError(
            f"The workspace {workspace} has too little room.",
            expected=f"at least {NEEDED_BYTES >> 20} MiB free",
            received=f"{free >> 20} MiB free",
            action="free some space, or choose another folder with --workspace",
        )


def _require_known(workspace: Workspace, content: dict[str, int]) -> None:
    if not isinstance(content, dict) or content.get("format", 0) > FORMAT:
        raise PipelineError(
            f"The workspace {workspace} was written by a newer keraspipe.",
            expected=f"workspace format {FORMAT} or older",
            received=f"format {content.get('format') if isinstance(content, dict) else content}",
            action="update keraspipe, or choose another folder with --workspace",
        )


def unwritable_error(workspace: Workspace, error: OSError) -> PipelineError:
    """The error for a workspace that refuses a write: read-only, full, or not a folder."""
    return PipelineError(
        f"The workspace {workspace} cannot be written.",
        expected="a folder that this user may write, with free space",
        received=f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else ""),
        action="mend that, or choose another folder with --workspace",
    )
