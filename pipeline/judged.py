"""Verdicts on record: a model is not judged twice by the same data, schema and gate, and never trusted beyond them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline import atomic, fingerprint

if TYPE_CHECKING:
    from pipeline.dag import Digests
    from pipeline.recipe import Gate
    from pipeline.workspace import Workspace


def basis(digests: Digests, gate: Gate, *, quick: bool) -> str:
    """Digest of what a verdict depends on beside the model: data, schema, metrics, gate, and the code that measures."""
    return fingerprint.of([digests.ingest, digests.schema, digests.score, repr(gate), quick])


def remembered(workspace: Workspace, name: str, model: str, by: str) -> dict[str, Any] | None:
    """The newest evaluation of a model on the same basis; None if it has to be judged.

    Args:
        workspace: The workspace.
        name: The recipe.
        model: Digest of the SavedModel.
        by: What `basis` gives.
    """
    for folder in reversed(workspace.run_folders(name)):
        found: dict[str, Any] = atomic.read_json(folder.evaluation, {})
        if (found.get("model"), found.get("basis")) == (model, by):
            return found
    return None
