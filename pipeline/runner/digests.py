"""Digests that decide what is computed again: one for each step, and one for the basis of a verdict.

TFX's cache uses these digests instead of the code. A verdict of the gate is valid as long as model, data, schema,
metrics and gate are the same; then the model is not evaluated again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.recipes import fingerprint
from pipeline.steps import schema, score
from pipeline.store import fileio, hashing

if TYPE_CHECKING:
    from pipeline.recipe import Gate, Recipe
    from pipeline.runs.run import RunRequest
    from pipeline.store.layout import Workspace


def verdict_basis(digests: StepDigests, gate: Gate, *, quick: bool) -> str:
    """Returns the digest of data, schema, metrics, gate, and the code of the evaluation; not of the model."""
    evaluation = [digests.resolve, digests.evaluate, digests.score, digests.baseline, digests.gate]
    return hashing.digest([digests.ingest, digests.schema, evaluation, repr(gate), quick])


def find_verdict(workspace: Workspace, name: str, model: str, wanted_basis: str) -> dict[str, Any] | None:
    """Returns the newest evaluation of a model on the same basis; None if there is none.

    Args:
        workspace: The workspace.
        name: The recipe.
        model: Digest of the SavedModel.
        wanted_basis: The digest of `verdict_basis`.
    """
    for folder in reversed(workspace.run_folders(name)):
        evaluation: dict[str, Any] = fileio.read_json(folder.evaluation, {})
        if (evaluation.get("model"), evaluation.get("basis")) == (model, wanted_basis):
            return evaluation
    return None


@dataclass(frozen=True)
class StepDigests:
    """The digest of each step's code and parameters, in addition to its inputs, for TFX's cache."""

    ingest: str
    schema: str
    transform: str
    train: str
    baseline: str
    resolve: str
    evaluate: str
    score: str
    gate: str


def compute_digests(request: RunRequest, recipe: Recipe, data: str) -> StepDigests:
    """Computes the digests of the steps' code, hyperparameters and data.

    Args:
        request: The run.
        recipe: Its recipe.
        data: Digest of the data set's files.
    """
    frozen = request.settings.workspace.schema(request.name)
    extra = {
        "ingest": [data, request.quick],
        "schema": schema.accepted_digest(frozen),
        "transform": "",
        "train": [request.seed, request.settings.mixed_precision, request.settings.deterministic],
        "baseline": "",
        "resolve": "",
        "evaluate": "",
        "gate": "",
        "score": [str(path) for path in score.needed_models(recipe, request.settings.workspace).values()],
    }
    return StepDigests(
        **{
            step: hashing.digest([fingerprint.step_digest(request.source, step, request.params), more])
            for step, more in extra.items()
        }
    )


def training_config(request: RunRequest, step_digests: StepDigests) -> dict[str, Any]:
    """Returns the `custom_config` of the Trainer for `run_fn`; it is the same for equal runs."""
    settings = request.settings
    training = hashing.digest(
        [step_digests.ingest, step_digests.schema, step_digests.transform, step_digests.train, request.params]
    )
    return {
        "recipe": str(request.source.path),
        "params": request.params,
        "seed": request.seed,
        "mixed_precision": settings.mixed_precision,
        "distribution": settings.distribution,
        "deterministic": settings.deterministic,
        "checkpoints": str(settings.workspace.checkpoint(training)),
        "digest": step_digests.train,
        "code": fingerprint.code_digest(request.source, "train"),
        "nodes": settings.nodes,
        "node_count": settings.node_count,
    }
