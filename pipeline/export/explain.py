"""The signature `explain`: what each pixel, column or word adds to the prediction, computed by the model server.

Inputs are those of `serving_default`. Outputs, one row for each input row:

- `label` (of a classifier) and `score`: its probability, or the predicted number; for a forecast the mean.
- `baseline_score`: the score of a row of zeros as input of the network: black for pixels in [0, 1], the mean for
  standardized columns, silence, and a zero vector for a word or a category.
- `attributions`: by how much each part changed the score from there, see `integrated_gradients`. For an image, a
  recording or a series in the shape of the preprocessed feature; for several columns one number each, named in
  `columns`; for a text one for each word in `tokens`. Several features of one input are `attributions_FEATURE`.
- `completeness_gap`: the difference between their sum and `score - baseline_score`.

Rows are explained one by one, so that an explanation depends on its row alone, to the last bit, and needs no more
memory for many rows than for one.
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
    """Explains the predictions of a recipe.

    Attributes:
        served: The recipe, its network and its preprocessing.
        path: The network as a function of the path of integrated gradients.
        columns: The columns of the attributions; None for a single input.
        tokens: Splits a text into words; None without a text.
    """

    served: ServingModel
    path: AttributionPath
    columns: ColumnOwners | None
    tokens: Callable[[tf.Tensor], tf.Tensor] | None

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Explains rows: maps raw inputs (batch, …) by name to the outputs."""
        features = self.served.features(raw)
        shapes = {name: tf.TensorSpec(shape, dtype) for name, (shape, dtype) in self._output_specs(features).items()}
        scope = tf.compat.v1.get_variable_scope()
        try:
            outputs = tf.map_fn(self.row, features, fn_output_signature=shapes, parallel_iterations=1)
        finally:  # after an error map_fn leaves it changed, and then no strategy can be entered
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
        """Explains one row; its features have no batch axis."""

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
        """Returns shape without the batch, and dtype, of each output of `row`."""
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
    """Returns the signature by its name; if the model cannot be explained, nothing, and logs the reason."""
    try:
        return {SIGNATURE: (trace_explainer(make_explainer(served), inputs), inputs)}
    except Exception as reason:  # noqa: BLE001  (a trained model can be served without explanations)
        log.warning("The model has no signature %s: %s: %s", SIGNATURE, type(reason).__name__, reason)
        return {}


def make_explainer(served: ServingModel) -> Explainer:
    """Returns the explainer of a recipe's predictions.

    Raises:
        UnexplainableError: They cannot be explained.
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
    """Traces the explanation as a graph of the raw inputs; a network that forbids it fails here, before the export."""

    def explain(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return explanation(dict(zip((spec.name for spec in inputs), tensors, strict=True)))

    function = tf.function(explain, input_signature=inputs, autograph=False)
    function.get_concrete_function()
    return function
