"""What a recipe declares of its answers: parts that contradict each other are found before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.features import targets, types

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.recipe import Recipe


def require_declaration(recipe: Recipe) -> None:
    """Raises a PipelineError if what a recipe declares of its answers does not fit together."""
    kinds = targets.target_kinds(recipe.data)
    wrong = next(filter(None, _contradictions(recipe, kinds)), "") if kinds else ""
    if not kinds and (recipe.teacher or recipe.preprocess_targets):
        wrong = "preprocess_targets= or teacher= without targets in the data"
    if wrong:
        raise PipelineError(
            "The recipe's declarations contradict each other.",
            expected="structured targets with outputs=, and with metrics that score() computes",
            received=wrong,
            action="correct the recipe, or declare a label instead of targets",
        )


def _contradictions(recipe: Recipe, kinds: Mapping[str, str]) -> Iterator[str]:
    for name, kind in kinds.items():
        try:
            types.parse_kind(kind)
        except ValueError as error:
            yield f"targets: {name}: {error}"
    both = sorted(kinds.keys() & recipe.data.inputs.keys())
    yield f"{', '.join(both)} among inputs and targets" if both else ""
    yield f"label={recipe.data.label!r} beside targets" if recipe.data.label or recipe.data.classes else ""
    yield "no outputs=: what clients get from the network" if recipe.outputs is None else ""
    texts = [name for name, kind in kinds.items() if kind.startswith("bytes")]
    yield f"no preprocess_targets= for the bytes {texts[0]}" if texts and not recipe.preprocess_targets else ""
    measured = [metric.name for metric in recipe.metrics if metric.tfma]
    yield f"metrics that TFMA computes from a label: {', '.join(measured)}" if measured else ""
