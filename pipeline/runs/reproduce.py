"""A run once more: from the recipe, the hyperparameters and the seed that were kept, on data that must be the same."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError
from pipeline.recipe import restore_params
from pipeline.recipes import catalog, fingerprint
from pipeline.runs import compare, record, run
from pipeline.runs.lineage import Provenance
from pipeline.store import fileio

if TYPE_CHECKING:
    from pipeline.runs.record import Account
    from pipeline.runs.run import Request, Result
    from pipeline.settings import Settings
    from pipeline.store.layout import RunFolder, Workspace

UNTIL = "gate"  # what comes after would publish
VARIABLES, ORDERED = "Format-Serving/variables/variables", "variables/"


def keep(request: Request, folder: RunFolder) -> None:
    """Puts what was asked for, and the recipe with the files that it imports, into a run's folder."""
    settings = request.settings
    for path in fingerprint.own_files(request.source):
        with fileio.file(folder.recipe / path.name) as beside:
            shutil.copyfile(path, beside)
    kept = {
        "recipe": f"{folder.recipe.name}/{request.source.path.name}",
        "params": request.params,
        "quick": request.quick,
        "seed": request.seed,
        "code": fingerprint.of_run(request.source, run.RUNNER),
        "settings": {
            "distribution": settings.distribution,
            "mixed_precision": settings.mixed_precision,
            "deterministic": settings.deterministic,
        },
    }
    fileio.write_json(folder.request, kept)


def request(told: Account, settings: Settings) -> Request:
    """The request that repeats a run up to its verdict; it publishes nothing.

    Raises:
        UsageError: What the run was asked for is not kept.
    """
    folder = settings.workspace.run(told.run_id)
    kept = fileio.read_json(folder.request)
    if kept is None:
        raise UsageError(
            f"Run {told.run_id} cannot be repeated: what it was asked for is not kept.",
            expected=str(folder.request),
            received="no such file",
            action="repeat a later run; list them with: keraspipe runs",
        )
    return run.Request(
        source=catalog.read(folder.root / kept["recipe"]),
        settings=dataclasses.replace(settings, **kept["settings"]),
        params=restore_params(kept["params"]),
        quick=kept["quick"],
        seed=kept["seed"],
        until=UNTIL,
        cache=False,
        reproduces=told.run_id,
    )


def require_same_data(told: Account, wanted: Request) -> None:
    """Raises a PipelineError when the data are not those that the run had."""
    recipe = catalog.load(wanted.source.path)
    found = run.data_digest(wanted, recipe.data.files(wanted.settings.data))
    if found != told.tags.get("data_digest"):
        raise PipelineError(
            f"The data of run {told.run_id} are not there any more.",
            expected=f"files with digest {told.tags.get('data_digest')}",
            received=f"digest {found}",
            action="restore the files, or compare with a run on the new data: keraspipe compare RUN RUN",
        )


def same_code(told: Account, workspace: Workspace) -> bool:
    """Whether keraspipe itself is what it was when the run was made."""
    folder = workspace.run(told.run_id)
    kept = fileio.read_json(folder.request, {})
    recipe = folder.root / kept.get("recipe", "")
    return "code" in kept and kept["code"] == fingerprint.of_run(catalog.read(recipe), run.RUNNER)


def difference(told: Account, repeated: Result, workspace: Workspace) -> dict[str, Any]:
    """What `keraspipe compare` says of both, and whether metrics and weights are equal.

    Returns:
        The object of `pipeline.runs.compare.compare` with `same_code`, `same_metrics` and `same_weights` (None where a
        model is no longer there).
    """
    both = (told, record.read(workspace, repeated.run_id))
    found = compare.compare(*both)
    weights = [_weights(one.run_id, workspace) for one in both]
    return found | {
        "same_code": same_code(told, workspace),
        "same_metrics": all(pair["difference"] == 0 for pair in found["metrics"].values()),
        "same_weights": weights[0] == weights[1] if all(weights) else None,
    }


def _weights(run_id: str, workspace: Workspace) -> str:
    """Digest of all values of a run's model; empty where it is gone."""
    steps = {execution.step: execution for execution in Provenance(workspace).executions(run_id)}
    model = steps["train"].outputs.get("model") if "train" in steps else None
    path = Path(model.uri) / VARIABLES if model else Path()
    return _values(path) if path.with_suffix(".index").is_file() else ""


def _values(path: Path) -> str:
    """Digest of a checkpoint's variables in Keras' order; the same tensors under other names are in no fixed order."""
    import tensorflow as tf

    checkpoint, digest = tf.train.load_checkpoint(str(path)), hashlib.sha256()
    for name in sorted(checkpoint.get_variable_to_shape_map()):
        if name.startswith(ORDERED):
            digest.update(name.encode() + checkpoint.get_tensor(name).tobytes())
    return digest.hexdigest()


def text(found: dict[str, Any]) -> list[str]:
    """What a person reads."""
    weights = {True: "the same weights", False: "other weights", None: "weights that are no longer there"}
    words = [weights[found["same_weights"]], "the same metrics" if found["same_metrics"] else "other metrics"]
    lines = [*compare.text(found), f"The repetition has {' and '.join(words)}."]
    if not found["same_code"]:
        lines.append("keraspipe itself has changed since: check out the commit that the run's environment.json names.")
    if not all((found["same_metrics"], found["same_weights"])):
        lines.append("Equal weights need KERASPIPE_DETERMINISTIC=1 in both runs.")
    return lines
