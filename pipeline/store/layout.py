"""The layout of a workspace: the paths of all files of runs, and the checks whether the folder can be used.

No other module builds these paths; the step that writes an artifact names the files inside it.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.store import fileio

FORMAT = 1
NEEDED_BYTES = 200 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)


class PathBelow:
    """A path with a fixed name below its owner's `root`."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __get__(self, owner: Workspace | RunFolder, kind: type) -> Path:
        return owner.root.joinpath(*self._names)


@dataclass(frozen=True)
class Workspace:
    """The layout of a workspace. A plural is a folder of many; a method returns the path of one of them.

    Attributes:
        root: The folder.
    """

    root: Path

    format_file = PathBelow("workspace.json")  # the version of this layout
    trash = PathBelow(".removed")  # files that `keraspipe gc` is deleting

    runs = PathBelow("runs")
    requests = PathBelow("requests")  # an index from a request to its last run
    artifacts = PathBelow("artifacts")  # outputs of the steps: RECIPE/STEP/KEY/EXECUTION
    metadata_db = PathBelow("metadata.db")  # ML Metadata's SQLite database, with their lineage
    checkpoints = PathBelow("checkpoints")  # of unfinished trainings

    models = PathBelow("serving")  # published versions as model servers read them: NAME/VERSION
    live_links = PathBelow("serving", ".live")  # a folder for each alias, with one link to its version
    models_config = PathBelow("serving", "models.config")  # the configuration of model servers
    champions = PathBelow("champions")  # a record for each recipe: the versions of its aliases

    mlflow_db = PathBelow("mlflow.db")  # MLflow's SQLite database, without a tracking server
    mlflow_artifacts = PathBelow("mlartifacts")  # by experiment, without a tracking server
    mlflow_lock = PathBelow(".mlflow.lock")  # held while the tables of that database are created

    request_log = PathBelow("request-log")  # of servers on this workspace
    monitoring = PathBelow("monitoring")  # reports of `keraspipe monitor`: RECIPE/TIME
    monitoring_lock = PathBelow("monitoring", ".recorder.lock")  # held while they are sent to MLflow
    monitoring_log = PathBelow("monitoring", "mlflow.txt")  # output of that process

    replay_log = PathBelow("replay.txt")  # output of the process that sends earlier runs to MLflow
    aliases_log = PathBelow("aliases.txt")  # output of the process that sends aliases to MLflow
    dashboard_log = PathBelow("dashboard.log")  # output of MLflow's server
    serve_log = PathBelow("serve.txt")  # TensorFlow's output in `keraspipe serve`

    location_lock = PathBelow("locks", "location")  # shared by whoever uses paths in the databases; see relocation.py
    runs_lock = PathBelow("locks", "runs")  # shared by all runs; exclusive to remove files
    models_config_lock = PathBelow("locks", "models-config")  # held while the files of model servers are written

    def __str__(self) -> str:
        return str(self.root)

    def absolute(self) -> Workspace:
        """Returns the same workspace with an absolute path."""
        return Workspace(self.root.absolute())

    def relative(self, path: Path) -> str:
        """Returns a path relative to the workspace, as in the journal: valid after the workspace is moved."""
        return str(path.relative_to(self.root))

    def inside(self, relative: str) -> Path:
        """Returns the absolute path for a relative one of the journal."""
        return self.root / relative

    def portable_uri(self, uri: str) -> str:
        """Returns the name of an MLflow for the workspace's records: its own database has the same in every place."""
        return self.mlflow_db.name if uri == f"sqlite:///{self.absolute().mlflow_db}" else uri

    def require_path(self, relative: str) -> Path:
        """Returns the absolute path for a relative one of the journal.

        Raises:
            FileNotFoundError: It does not exist any more.
        """
        path = self.inside(relative)
        if not path.exists():
            raise FileNotFoundError(f"{path} is gone")
        return path

    def run(self, run_id: str) -> RunFolder:
        """Returns the folder of a run."""
        return RunFolder(self, run_id)

    def run_folders(self, recipe: str = "") -> list[RunFolder]:
        """Returns the folders of all runs, or of a recipe's, sorted by id; those of a recipe sort by time."""
        pattern = f"{recipe}-*" if recipe else "*"
        return [self.run(path.name) for path in sorted(self.runs.glob(pattern)) if path.is_dir()]

    def request(self, key: str) -> Path:
        """Returns the index entry of a request."""
        return self.requests / f"{key}.json"

    def data_digest(self, recipe: str) -> Path:
        """Returns the file with the digest of a recipe's data files."""
        return self.root / "data" / f"{recipe}.json"

    def code_digest(self, recipe: str) -> Path:
        """Returns the file with the digest of the code of a recipe's runs."""
        return self.root / "data" / f"{recipe}.code.json"

    def recipe_artifacts(self, recipe: str) -> Path:
        """Returns the folder of a recipe's step outputs: STEP/KEY/EXECUTION."""
        return self.artifacts / recipe

    def checkpoint(self, digest: str) -> Path:
        """Returns the folder of checkpoints of the training with this digest."""
        return self.checkpoints / digest[:16]

    def schema(self, recipe: str) -> Path:
        """Returns the file of the schema that a recipe's first blessed run has frozen."""
        return self.root / "schemas" / recipe / "schema.pbtxt"

    def model_versions(self, name: str) -> Path:
        """Returns the folder of a model's versions."""
        return self.models / name

    def model(self, name: str, version: int) -> Path:
        """Returns the serving directory of a version."""
        return self.model_versions(name) / str(version)

    def champion(self, recipe: str) -> Path:
        """Returns the file with the record of a recipe's aliases."""
        return self.champions / f"{recipe}.json"

    def card(self, recipe: str, version: int) -> Path:
        """Returns the card of a version in Markdown; the HTML is next to it."""
        return self.root / "cards" / recipe / f"{version}.md"

    def card_request(self, recipe: str, version: int) -> Path:
        """Returns the file of the example request of a version's card, if it is too long for the page."""
        return self.root / "cards" / recipe / f"{version}.request.json"

    def synced_aliases(self, recipe: str) -> Path:
        """Returns the file with the aliases of a recipe that were last sent to MLflow."""
        return self.root / "aliases" / f"{recipe}.json"

    def baseline(self, recipe: str, examples: str) -> Path:
        """Returns the file with the distributions of training data; `examples` is the execution of `ingest`."""
        return self.root / "profiles" / recipe / f"{examples}.json"

    def answers(self, recipe: str, digest: str) -> Path:
        """Returns the file with the distribution of a model's predictions on the test split."""
        return self.root / "profiles" / recipe / f"answers-{digest[:16]}.json"

    def request_lock(self, key: str) -> Path:
        """Returns the lock of the process that executes a request."""
        return self._lock(f"request-{key}")

    def publish_lock(self, recipe: str) -> Path:
        """Returns the lock for changes of a recipe's record of aliases."""
        return self._lock(f"publish-{recipe}")

    def aliases_lock(self, recipe: str) -> Path:
        """Returns the lock of the process that sends a recipe's aliases to MLflow."""
        return self._lock(f"aliases-{recipe}")

    def _lock(self, name: str) -> Path:
        return self.root / "locks" / name


@dataclass(frozen=True)
class RunFolder:
    """The files of a run or a search.

    Attributes:
        workspace: The workspace.
        run_id: The run.
    """

    workspace: Workspace
    run_id: str

    lock = PathBelow("lock")  # held by the process that executes the run
    journal = PathBelow("journal.jsonl")  # the events
    log = PathBelow("log.txt")  # output of the libraries
    result = PathBelow("result.json")  # as `run --json` prints it
    recorded = PathBelow("recorded.json")  # how much of the journal is recorded in MLflow
    recorder_lock = PathBelow(".recorder.lock")  # held by the process that records the run in MLflow
    mlflow_log = PathBelow("mlflow.txt")  # output of that process
    request = PathBelow("request.json")  # the request, to repeat the run
    recipe = PathBelow("recipe")  # a copy of the recipe with the files that it imports
    environment = PathBelow("environment.json")  # machine, packages, commit
    rows_report = PathBelow("report.json")  # on rows that cannot be used; the step has its own with the examples
    anomalies = PathBelow("anomalies.json")  # differences between data and schema
    evaluation = PathBelow("evaluation.json")  # the verdict on the model, with all numbers
    gate_page = PathBelow("gate.md")  # the verdict as a page
    card = PathBelow("card.md")  # the HTML is next to it

    kubeflow_state = PathBelow("kubeflow.json")  # the run's state for its next task
    study = PathBelow("study.db")  # the trials of a search, Optuna's SQLite database
    front_picture = PathBelow("pareto.png")  # the front of a search with several objectives

    @property
    def root(self) -> Path:
        """The folder of the run."""
        return self.workspace.runs / self.run_id

    def trial(self, number: int) -> Path:
        """Returns the folder of a trial of a search."""
        return self.root / "trials" / str(number)

    def trial_checkpoints(self, number: int) -> Path:
        """Returns the folder of a trial's checkpoints."""
        return self.trial(number) / "checkpoints"


def prepare(workspace: Workspace) -> None:
    """Creates a workspace, or checks that an existing one can be used.

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
            f"The workspace {workspace} has too little free space.",
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
    """Returns the error for a workspace that cannot be written: read-only, full, or not a folder."""
    free = "free some space there (keraspipe gc), and give the same command again: what is done is not done again"
    return PipelineError(
        f"The workspace {workspace} cannot be written.",
        expected="a folder that this user may write, with free space",
        received=f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else ""),
        action=free if error.errno in FULL else "correct that, or choose another folder with --workspace",
    )


def unusable_error(workspace: Workspace, error: OSError) -> PipelineError:
    """Returns the error for a file or folder that cannot be read or written, in the workspace or elsewhere."""
    place = error.filename2 or error.filename
    if not isinstance(place, str) or Path(place).absolute().is_relative_to(workspace.root.absolute()):
        return unwritable_error(workspace, error)
    return PipelineError(
        f"{place} cannot be used.",
        expected="a file or folder that this user may read and write, with free space",
        received=error.strerror or str(error),
        action="correct that, or name another place",
    )
