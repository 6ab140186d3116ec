"""Exports preprocessing and network as one SavedModel for raw inputs, and compares it with the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.errors import PipelineError
from pipeline.export import explain
from pipeline.features import types

if TYPE_CHECKING:
    from pipeline.export.signatures import ServingModel
    from pipeline.recipe import Recipe
    from serving.core.model import LoadedModel


TOLERANCE = 1e-5
WARM_UP_ROWS = (1, 8)


def make_endpoints(served: ServingModel) -> dict[str, tuple[Any, list[tf.TensorSpec]]]:
    """Returns the signatures that every model has, each with its input specification."""
    names = list(served.recipe.data.inputs)
    raw = [
        tf.TensorSpec([None, *types.parse_kind(kinds)[1]], types.tf_dtype(kinds), name)
        for name, kinds in served.recipe.data.inputs.items()
    ]
    examples = [tf.TensorSpec([None], tf.string, "examples")]
    label = served.recipe.data.label

    def default(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return served.outputs(served.features(dict(zip(names, tensors, strict=True))))

    def transform_features(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return served.features(dict(zip(names, tensors, strict=True)))

    def serving_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return served.outputs(served.parse_examples(examples, label=False))

    def transform_labels(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {label: served.parse_examples(examples, label=True)[label]}

    return {
        "serving_default": (default, raw),
        "serving_examples": (serving_examples, examples),
        "transform_features": (transform_features, raw),
        "transform_labels": (transform_labels, examples),
        **explain.explain_endpoint(served, raw),
        **served.recipe.signatures(served),
    }


def export_model(served: ServingModel, folder: Path) -> None:
    """Writes the SavedModel."""
    archive = keras.export.ExportArchive()
    archive.track(served.model)
    archive.track(served.transform)
    for name, (function, signature) in make_endpoints(served).items():
        archive.add_endpoint(name, function, input_signature=signature)
    archive.write_out(str(folder), verbose=False)


def write_warm_up(folder: Path, name: str, inputs: dict[str, np.ndarray]) -> None:
    """Writes requests that a server runs before the version becomes available: one row, and a small batch."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for rows in WARM_UP_ROWS:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = "serving_default"
            for key, values in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(np.resize(values, (rows, *values.shape[1:]))))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def read_raw_rows(pattern: list[str], recipe: Recipe, count: int) -> tuple[list[bytes], dict[str, np.ndarray]]:
    """Reads the first serialized examples of a split, and their raw inputs as a client would send them."""
    records = tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(pattern))).take(count)
    examples = [record.numpy() for record in records]
    spec = {name: types.parsing_spec(kinds) for name, kinds in recipe.data.inputs.items()}
    parsed = tf.io.parse_example(examples, spec)
    return examples, {name: parsed[name].numpy() for name in spec}


def require_same_answers(
    served: ServingModel, loaded: LoadedModel, examples: list[bytes], inputs: dict[str, np.ndarray]
) -> float:
    """Compares the export, loaded back, with the network in memory; returns the largest difference.

    Raises:
        PipelineError: The answers of the exported model differ by more than 1e-5.
    """
    raw = {name: tf.constant(value) for name, value in inputs.items()}
    expected = {name: value.numpy() for name, value in served.outputs(served.features(raw)).items()}
    requests = {"serving_examples": {"examples": np.array(examples, object)}, "serving_default": inputs}
    if loaded.signatures["serving_default"].inputs.keys() != inputs.keys():
        del requests["serving_default"]  # the recipe's own signature, with other inputs
    worst = 0.0
    for signature, request in requests.items():
        answer = loaded.predict(signature, request)
        for name, values in expected.items():
            worst = max(worst, _answer_difference(values, answer[name]))
    if worst > TOLERANCE:
        raise PipelineError(
            "The exported model answers differently from the trained one.",
            expected=f"a difference of at most {TOLERANCE} on {len(examples)} examples of the eval split",
            received=f"{worst:.3g}",
            action="check the recipe for layers that behave differently with training=False or have state",
        )
    return worst


def _answer_difference(expected: np.ndarray, received: np.ndarray) -> float:
    if expected.dtype.kind in "fiu":
        # Relative for large numbers: float32 gives a fare of 100 no more digits than a probability.
        scale = np.maximum(np.abs(expected.astype(np.float64)), 1.0)
        return float(np.max(np.abs(expected - received) / scale, initial=0.0))
    return 0.0 if np.array_equal(expected, received) else 1.0
