"""Verdicts on record: a model is not judged twice by the same data, schema and gate, and never trusted beyond them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.recipes import fingerprint
from pipeline.steps import schema, score
from pipeline.store import fileio, hashing

if TYPE_CHECKING:
    from pipeline.recipe import Gate, Recipe
    from pipeline.runs.run import Request
    from pipeline.store.layout import Workspace


def basis(digests: Digests, gate: Gate, *, quick: bool) -> str:
    """Digest of what a verdict depends on beside the model: data, schema, metrics, gate, and the code that measures."""
    return hashing.digest([digests.ingest, digests.schema, digests.score, repr(gate), quick])


def remembered(workspace: Workspace, name: str, model: str, by: str) -> dict[str, Any] | None:
    """The newest evaluation of a model on the same basis; None if it has to be judged.

    Args:
        workspace: The workspace.
        name: The recipe.
        model: Digest of the SavedModel.
        by: What `basis` gives.
    """
    for folder in reversed(workspace.run_folders(name)):
        found: dict[str, Any] = fileio.read_json(folder.evaluation, {})
        if (found.get("model"), found.get("basis")) == (model, by):
            return found
    return None


@dataclass(frozen=True)
class Digests:
    """What each step's result depends on beyond its inputs; TFX's cache sees these instead of the code."""

    ingest: str
    schema: str
    transform: str
    train: str
    score: str


def digests(request: Request, recipe: Recipe, data: str) -> Digests:
    """Digests of the steps' code, hyperparameters and data.

    Args:
        request: The run.
        recipe: Its recipe.
        data: Digest of the data set's files.
    """
    frozen = request.settings.workspace.schema(request.name)
    extra = {
        "ingest": [data, request.quick],
        "schema": schema.accepted(frozen),
        "transform": "",
        "train": [request.seed, request.settings.mixed_precision, request.settings.deterministic],
        "score": [str(path) for path in score.needed(recipe, request.settings.workspace).values()],
    }
    return Digests(
        **{
            step: hashing.digest([fingerprint.of_step(request.source, step, request.params), more])
            for step, more in extra.items()
        }
    )


def training_config(request: Request, found: Digests) -> dict[str, Any]:
    """What the Trainer hands to `run_fn`; nothing in it differs between equal runs."""
    settings = request.settings
    training = hashing.digest([found.ingest, found.schema, found.transform, found.train, request.params])
    return {
        "recipe": str(request.source.path),
        "params": request.params,
        "seed": request.seed,
        "mixed_precision": settings.mixed_precision,
        "distribution": settings.distribution,
        "deterministic": settings.deterministic,
        "checkpoints": str(settings.workspace.checkpoint(training)),
        "digest": found.train,
        "code": fingerprint.of_code(request.source, "train"),
        "nodes": settings.nodes,
        "node_count": settings.node_count,
    }
