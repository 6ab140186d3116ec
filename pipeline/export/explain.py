"""The signature `explain`: what each pixel, column or word added to the answer, computed where the model is served.

Inputs are those of `serving_default`. Outputs, one row for each input row:

- `label` (of a classifier) and `score`: its probability, or the number that the model gives; of a forecast the mean.
- `baseline_score`: the same of a row of zeros as the network sees it: black where pixels lie in [0, 1], the mean where
  columns are standardized, silence, and no vector at all for a word or a category.
- `attributions`: by how much each part moved the score from there, see `integrated_gradients`. Of an image, a recording
  or a series the shape of the preprocessed feature; of several columns one number each, named in `columns`; of a text
  one for each word, which stand in `tokens`. Several features of one input come as `attributions_FEATURE`.
- `completeness_gap`: what is missing in their sum to `score - baseline_score`.

Rows are explained one after the other, so that an explanation depends on its row alone, to the last bit, and takes no
more memory for many rows than for one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from pipeline.export import attribution_names, integrated_gradients
from pipeline.export.integrated_gradients import UnexplainableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.export.attribution_names import ColumnOwners
    from pipeline.export.integrated_gradients import AttributionPath
    from pipeline.export.signatures import ServingModel

SIGNATURE = "explain"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Explainer:
    """What an explanation of a recipe's answers is made of.

    Attributes:
        served: The recipe, its network and its preprocessing.
        path: What is moved.
        columns: Where the numbers of several columns belong; None where there is one input.
        tokens: How a text is cut into words; None where there is none.
    """

    served: ServingModel
    path: AttributionPath
    columns: ColumnOwners | None
    tokens: Callable[[tf.Tensor], tf.Tensor] | None

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Explains rows: raw inputs (batch, …) by name to the outputs."""
        features = self.served.features(raw)
        shapes = {name: tf.TensorSpec(shape, dtype) for name, (shape, dtype) in self._output_specs(features).items()}
        scope = tf.compat.v1.get_variable_scope()
        try:
            outputs = tf.map_fn(self.row, features, fn_output_signature=shapes, parallel_iterations=1)
        finally:  # map_fn leaves it changed where a network cannot be explained, and then no strategy can be entered
            scope.set_caching_device(None)
        classes = self.served.recipe.data.classes
        number = outputs.pop("number")
        if classes:
            outputs["label"] = tf.gather(tf.constant(classes), number)
        if self.columns:
            outputs["columns"] = tf.tile(tf.constant([self.columns.names]), [tf.size(number), 1])
        if self.tokens:
            outputs["tokens"] = self.tokens(*raw.values())
        return outputs

    def row(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Explains one row, of which the features have no batch."""

        def answer(points: integrated_gradients.PathPoint) -> tf.Tensor:
            count = tf.shape(next(iter(points.values())))[0]
            same = {name: tf.repeat(value[None], count, axis=0) for name, value in features.items()}
            return self.path.answer(same, points)

        end = self.path.end(features)
        scores = answer({name: tf.stack([tf.zeros_like(value), value]) for name, value in end.items()})
        number = tf.argmax(scores[1])
        before, after = scores[0, number], scores[1, number]
        attributions = integrated_gradients.compute_attributions(
            lambda points: answer(points)[:, number], end, before, after
        )
        gap = integrated_gradients.sum_attributions(attributions) - (after - before)
        scalars = {"number": number, "score": after, "baseline_score": before, "completeness_gap": gap}
        return {**scalars, **self._name_outputs(self.path.sum_by_feature(attributions))}

    def _name_outputs(self, attributions: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        if self.columns:
            return {"attributions": self.columns.sum_columns(attributions)}
        if len(attributions) == 1:
            return {"attributions": next(iter(attributions.values()))}
        return {f"attributions_{name}": value for name, value in attributions.items()}

    def _output_specs(self, features: Mapping[str, tf.Tensor]) -> dict[str, tuple[Any, tf.DType]]:
        """Shape without the batch and dtype of what `row` gives."""
        numbers = dict.fromkeys(("score", "baseline_score", "completeness_gap"), ((), tf.float32))
        shapes = {
            name: features[name] for name in (*self.path.numbers, *(lookup.feature for lookup in self.path.lookups))
        }
        outputs = self._name_outputs({name: tf.zeros(value.shape[1:]) for name, value in shapes.items()})
        return {
            "number": ((), tf.int64),
            **numbers,
            **{name: (value.shape, tf.float32) for name, value in outputs.items()},
        }


def explain_endpoint(served: ServingModel, inputs: list[tf.TensorSpec]) -> dict[str, tuple[Any, list[tf.TensorSpec]]]:
    """The signature by its name; nothing, and the reason in the log, where the model cannot be explained."""
    try:
        return {SIGNATURE: (trace_explainer(make_explainer(served), inputs), inputs)}
    except Exception as reason:  # noqa: BLE001  (whatever a network does: it is trained, and can be served without)
        log.warning("The model has no signature %s: %s: %s", SIGNATURE, type(reason).__name__, reason)
        return {}


def make_explainer(served: ServingModel) -> Explainer:
    """How the answers of a recipe are explained.

    Raises:
        UnexplainableError: They cannot be.
    """
    recipe, raw = served.recipe, {name: tf.constant(value) for name, value in served.sample.items()}
    own = recipe.signatures(served).get("serving_default")
    if own and {spec.name for spec in own[1]} != set(recipe.data.inputs):
        raise UnexplainableError("its serving_default takes other inputs than its data have")
    features = served.features(raw)
    path = integrated_gradients.make_path(recipe, served.model, features)
    moved = [*path.numbers, *dict.fromkeys(lookup.feature for lookup in path.lookups)]
    if len(raw) > 1:
        return Explainer(served, path, attribution_names.find_columns(served, moved), None)
    text = len(moved) == 1 and not path.numbers and next(iter(raw.values())).dtype == tf.string
    return Explainer(served, path, None, attribution_names.find_tokenizer(served, moved[0]) if text else None)


def trace_explainer(explanation: Explainer, inputs: list[tf.TensorSpec]) -> Any:
    """The explanation as a graph of the raw inputs, made at once, so that a network that forbids it is noticed here."""

    def explain(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return explanation(dict(zip((spec.name for spec in inputs), tensors, strict=True)))

    function = tf.function(explain, input_signature=inputs, autograph=False)
    function.get_concrete_function()
    return function
