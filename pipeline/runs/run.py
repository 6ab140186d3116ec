"""A run: its request, the digest of that request, and the record of its result."""

from __future__ import annotations

import ast
import secrets
import time
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.store import champions, fileio, hashing
from pipeline.store.fileio import is_locked

if TYPE_CHECKING:
    from pipeline.recipes.catalog import RecipeSource
    from pipeline.settings import Settings
    from pipeline.store.layout import Workspace

STEPS = (
    "ingest",
    "statistics",
    "infer_schema",
    "schema",
    "validate",
    "transform",
    "train",
    "baseline",
    "resolve",
    "evaluate",
    "score",
    "gate",
    "register",
    "publish",
)
RUNNER = "pipeline.runner.local"  # the module whose code computes a run's result


@dataclass(frozen=True)
class RunRequest:
    """A request to `keraspipe run`.

    Attributes:
        source: The recipe.
        settings: The settings.
        params: All hyperparameters.
        quick: Whether to use a small sample and few epochs.
        seed: Seed of everything random in the training.
        until: Last step to run.
        cache: Whether results of earlier runs may be used.
        alias: Alias of a blessed version: "champion", "challenger", or "quick" for a --quick run.
        reproduces: The run that this one repeats; empty if it is no repetition.
        trial: "SEARCH trial N" if a search has found the hyperparameters; empty otherwise.
    """

    source: RecipeSource
    settings: Settings
    params: dict[str, Any]
    quick: bool = False
    seed: int = 1
    until: str = STEPS[-1]
    cache: bool = True
    alias: str = "champion"
    reproduces: str = ""
    trial: str = ""

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.source.name

    @cached_property
    def key(self) -> str:
        """Digest of the request and of the code when this was first read, without the data.

        Computed once: a file edited during its run must not give its new digest to the old result.
        """
        from pipeline.recipes import digest_memory  # here: `keraspipe runs` answers without it

        settings = self.settings
        code = digest_memory.run_digest(self.source, RUNNER, settings.workspace.code_digest(self.name))
        return hashing.digest(
            {
                "recipe": self.name,
                "code": code,
                "params": self.params,
                "options": [self.quick, self.seed, self.until, self.alias, self.reproduces],
                "settings": [
                    str(settings.data),
                    settings.distribution,
                    settings.mixed_precision,
                    settings.deterministic,
                    settings.tracking_uri,
                ],
            }
        )


@dataclass
class RunResult:
    """The result of a run, as `run --json` prints it.

    `gate` has all conditions (`evaluation.gate.Condition`), `baselines` the standard models (docs/journal.md),
    `left_out` the rows that cannot be used: {"rows", "of", "kinds", "report": its path in the workspace}, or nothing;
    `coarse` the columns of which float32 keeps little; `late_error` what failed after the model was published.
    """

    run_id: str
    recipe: str
    blessed: bool | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    model_version: int | None = None
    model_path: str | None = None
    mlflow_run_id: str | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    gate: list[dict[str, Any]] = field(default_factory=list)
    baselines: dict[str, Any] = field(default_factory=dict)
    diagnosis: str = ""
    drift: list[str] = field(default_factory=list)
    left_out: dict[str, Any] = field(default_factory=dict)
    coarse: list[str] = field(default_factory=list)
    quick: bool = False
    seconds: float = 0.0
    not_recorded: str = ""
    late_error: str = ""

    def as_json(self) -> dict[str, Any]:
        """Returns the object that `--json` prints."""
        return asdict(self)

    def add_late_error(self, error: Exception) -> None:
        """Keeps an error in a line; of several the first."""
        self.late_error = self.late_error or f"{type(error).__name__}: {error}".partition("\n")[0]


def quick_epochs(source: RecipeSource) -> int:
    """Returns the epochs of a --quick run, read from the recipe's text."""
    from pipeline.recipe import Quick

    call = source.keywords.get("quick")
    arguments = dict(zip(Quick.__dataclass_fields__, getattr(call, "args", []), strict=False))
    arguments |= {keyword.arg: keyword.value for keyword in getattr(call, "keywords", [])}
    return int(ast.literal_eval(arguments["epochs"])) if "epochs" in arguments else Quick.epochs


def new_run_id(name: str) -> str:
    """Returns an id that sorts by time: RECIPE-YYYYMMDD-HHMMSS-xxxx."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def index_path(request: RunRequest) -> Path:
    """Returns the index file of a request, which names its last run."""
    return request.settings.workspace.request(request.key)


def find_result(request: RunRequest) -> RunResult | None:
    """Returns the result of the same request on the same data, if it is still valid."""
    entry = fileio.read_json(index_path(request))
    if entry is None or not request.cache or "result" not in entry:
        return None
    result = _with_path(RunResult(**entry["result"]), request.settings.workspace)
    same_data = entry["data"] == data_digest(request, [Path(file) for file in entry["files"]])
    return result if same_data and _still_holds(result, entry, request) else None


def _with_path(result: RunResult, workspace: Workspace) -> RunResult:
    """Returns a stored result with the place of its model now: the workspace may have been moved or copied."""
    here = str(workspace.model(result.recipe, result.model_version)) if result.model_version else None
    return replace(result, model_path=here if result.model_path else None)


def data_digest(request: RunRequest, files: list[Path]) -> str:
    """Returns the digest of the data set's files; empty if one is missing."""
    try:
        return hashing.digest_files(files, request.settings.workspace.data_digest(request.name))
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _still_holds(result: RunResult, entry: dict[str, Any], request: RunRequest) -> bool:
    live = champions.read_champion(request.settings.workspace, request.name)
    if result.blessed is False:
        return (live.digest if live else "") == entry["judged_against"]
    return result.model_path is None or Path(result.model_path).is_dir()


def begin_run(request: RunRequest) -> str:
    """Returns the id of a run for this request: that of an earlier run which was killed, or a new one."""
    entry = fileio.read_json(index_path(request), {})
    if "unfinished" in entry and request.settings.workspace.run(entry["unfinished"]).root.is_dir():
        return str(entry["unfinished"])
    run_id = new_run_id(request.name)
    request.settings.workspace.run(run_id).root.mkdir(parents=True)
    fileio.write_json(index_path(request), {"unfinished": run_id})
    return run_id


def save_result(request: RunRequest, result: RunResult, files: list[Path], judged_against: str, data: str = "") -> None:
    """Records a finished run under its request.

    Args:
        request: The request.
        result: The result.
        files: Files of the data set.
        judged_against: Digest of the champion (the live model) at the time of the evaluation; empty without one.
        data: Digest of the files when the run read them; computed now if empty.
    """
    entry = {
        "result": result.as_json(),
        "files": [str(file) for file in files],
        "data": data or data_digest(request, files),
        "judged_against": judged_against,
    }
    fileio.write_json(request.settings.workspace.run(result.run_id).result, result.as_json())
    fileio.write_json(index_path(request), entry)


def update_result(request: RunRequest, result: RunResult) -> None:
    """Replaces the stored result of a run, with facts that became known after its end."""
    entry = fileio.read_json(index_path(request), {})
    fileio.write_json(index_path(request), {**entry, "result": result.as_json()})
    fileio.write_json(request.settings.workspace.run(result.run_id).result, result.as_json())


def forget_request(request: RunRequest) -> None:
    """Deletes the index entry of a failed run, so that the next one gets a new id."""
    index_path(request).unlink(missing_ok=True)


def is_running(workspace: Workspace, run_id: str) -> bool:
    """Returns whether some process executes a run at the moment."""
    return is_locked(workspace.run(run_id).lock)
