"""Repeats a run with its stored recipe, hyperparameters and seed on the same data, and compares both."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError
from pipeline.recipe import restore_params
from pipeline.recipes import catalog, fingerprint
from pipeline.runs import compare, record, run
from pipeline.runs.provenance import Provenance
from pipeline.store import fileio

if TYPE_CHECKING:
    from pipeline.runs.record import RunRecord
    from pipeline.runs.run import RunRequest, RunResult
    from pipeline.settings import Settings
    from pipeline.store.layout import RunFolder, Workspace

LAST_STEP = "gate"  # later steps would publish
VARIABLES, ORDERED_PREFIX = "Format-Serving/variables/variables", "variables/"


def save_request(request: RunRequest, folder: RunFolder) -> None:
    """Stores the request, and the recipe with the files that it imports, in a run's folder."""
    settings = request.settings
    files = fingerprint.recipe_files(request.source)
    base = Path(os.path.commonpath([path.parent for path in files]))  # packages keep their folders
    for path in files:
        with fileio.replace_file(folder.recipe / path.relative_to(base)) as temporary:
            shutil.copyfile(path, temporary)
    saved = {
        "recipe": f"{folder.recipe.name}/{request.source.path.relative_to(base)}",
        "params": request.params,
        "quick": request.quick,
        "seed": request.seed,
        "code": fingerprint.run_digest(request.source, run.RUNNER),
        "settings": {
            "distribution": settings.distribution,
            "mixed_precision": settings.mixed_precision,
            "deterministic": settings.deterministic,
        },
    }
    fileio.write_json(folder.request, saved)


def repeat_request(original: RunRecord, settings: Settings) -> RunRequest:
    """Returns the request that repeats a run up to its verdict, without publishing.

    Raises:
        UsageError: The run's request is not stored.
    """
    folder = settings.workspace.run(original.run_id)
    saved = fileio.read_json(folder.request)
    if saved is None:
        raise UsageError(
            f"Run {original.run_id} cannot be repeated: its request is not stored.",
            expected=str(folder.request),
            received="no such file",
            action="repeat a later run; list them with: keraspipe runs",
        )
    return run.RunRequest(
        source=catalog.read_recipe(folder.root / saved["recipe"]),
        settings=dataclasses.replace(settings, **saved["settings"]),
        params=restore_params(saved["params"]),
        quick=saved["quick"],
        seed=saved["seed"],
        until=LAST_STEP,
        cache=False,
        reproduces=original.run_id,
    )


def require_same_data(original: RunRecord, repetition: RunRequest) -> None:
    """Raises a PipelineError if the data are not those of the run."""
    recipe = catalog.load_recipe(repetition.source.path)
    digest = run.data_digest(repetition, recipe.data.files(repetition.settings.data))
    if digest != original.tags.get("data_digest"):
        raise PipelineError(
            f"The data of run {original.run_id} have changed or are gone.",
            expected=f"files with digest {original.tags.get('data_digest')}",
            received=f"digest {digest}",
            action="restore the files, or compare with a run on the new data: keraspipe compare RUN RUN",
        )


def has_same_code(original: RunRecord, workspace: Workspace) -> bool:
    """Returns whether keraspipe's code is the same as in the run."""
    folder = workspace.run(original.run_id)
    saved = fileio.read_json(folder.request, {})
    recipe = folder.root / saved.get("recipe", "")
    return "code" in saved and saved["code"] == fingerprint.run_digest(catalog.read_recipe(recipe), run.RUNNER)


def compare_repetition(original: RunRecord, repeated: RunResult, workspace: Workspace) -> dict[str, Any]:
    """Compares both runs as `keraspipe compare` does, and also their metrics and weights for equality.

    Returns:
        The object of `compare.compare_runs` with `same_code`, `same_metrics` and `same_weights` (None if a model was
        deleted).
    """
    both = (original, record.read_record(workspace, repeated.run_id))
    result = compare.compare_runs(*both)
    weights = [_weights_digest(side.run_id, workspace) for side in both]
    return result | {
        "same_code": has_same_code(original, workspace),
        "same_metrics": all(pair["a"] == pair["b"] for pair in result["metrics"].values()),
        "same_weights": weights[0] == weights[1] if all(weights) else None,
    }


def _weights_digest(run_id: str, workspace: Workspace) -> str:
    """Returns the digest of all weights of a run's model; empty if it was deleted."""
    steps = {execution.step: execution for execution in Provenance(workspace).executions(run_id)}
    model = steps["train"].outputs.get("model") if "train" in steps else None
    path = Path(model.uri) / VARIABLES if model else Path()
    return _checkpoint_digest(path) if path.with_suffix(".index").is_file() else ""


def _checkpoint_digest(path: Path) -> str:
    """Returns the digest of a checkpoint's variables in Keras' order; the order of other names is not fixed."""
    import tensorflow as tf

    checkpoint, digest = tf.train.load_checkpoint(str(path)), hashlib.sha256()
    for name in sorted(checkpoint.get_variable_to_shape_map()):
        if name.startswith(ORDERED_PREFIX):
            digest.update(name.encode() + checkpoint.get_tensor(name).tobytes())
    return digest.hexdigest()


def describe(result: dict[str, Any]) -> list[str]:
    """Renders the comparison as lines of text."""
    weights = {True: "the same weights", False: "other weights", None: "weights that are no longer there"}
    words = [weights[result["same_weights"]], "the same metrics" if result["same_metrics"] else "other metrics"]
    lines = [*compare.describe(result), f"The repetition has {' and '.join(words)}."]
    if not result["same_code"]:
        lines.append("keraspipe itself has changed since: check out the commit that the run's environment.json names.")
    if not all((result["same_metrics"], result["same_weights"])):
        lines.append("Equal weights need KERASPIPE_DETERMINISTIC=1 in both runs.")
    return lines
