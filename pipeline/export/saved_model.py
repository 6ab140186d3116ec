"""Exports preprocessing and network as one SavedModel for raw inputs, and compares it with the network."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.errors import PipelineError
from pipeline.export import explain, forecast
from pipeline.export.parts import answer_in_parts
from pipeline.features import image, types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.export.signatures import ServingModel
    from pipeline.recipe import Recipe
    from serving.core.model import LoadedModel

    Network = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]


TOLERANCE = 1e-5
# Half-precision numbers have 8 or 11 significant bits; a graph may round some more times than single steps do.
ROUNDING = {"bfloat16": 8 * 2.0**-8, "float16": 8 * 2.0**-11}
WARM_UP_ROWS = (1, 8)
PICTURES = ("image_bytes", "mask_bytes")
RANKS = ("scores", "score")  # outputs (batch, places) by which others are ranked
SHRUNK = 1000  # times smaller than the truth may answers be that still round like numbers of its size
GREY = 1 / 255  # pixels are rounded numbers: a last digit may turn one over


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

    labelled = {"transform_labels": (transform_labels, examples)} if label else {}
    return {
        "serving_default": (default, raw),
        "serving_examples": (serving_examples, examples),
        "transform_features": (transform_features, raw),
        **labelled,
        **explain.explain_endpoint(served, raw),
        **forecast.forecast_endpoint(served),
        **served.recipe.signatures(served),
    }


def export_model(served: ServingModel, folder: Path) -> None:
    """Writes the SavedModel."""
    archive = keras.export.ExportArchive()
    archive.track(served.model)
    archive.track(served.transform)
    for name, (function, signature) in make_endpoints(served).items():
        archive.add_endpoint(name, function, input_signature=signature)
    _list_variables_once(archive)
    archive.write_out(str(folder), verbose=False)


def _list_variables_once(archive: Any) -> None:
    """Clears Keras' lists of the weights: the functions name those that they use, and each list would be written."""
    for name in ("variables", "trainable_variables", "non_trainable_variables"):
        setattr(archive._tf_trackable, name, [])  # noqa: SLF001  (Keras 3.15 has no option for it)


def write_warm_up(folder: Path, name: str, requests: dict[str, dict[str, np.ndarray]]) -> None:
    """Writes requests that a server runs before the version becomes available: one row, and a small batch.

    Args:
        folder: The SavedModel.
        name: Name of the model.
        requests: Inputs by signature, some rows each.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for signature, rows in itertools.product(requests, WARM_UP_ROWS):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, values in requests[signature].items():
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
    served: ServingModel, loaded: LoadedModel, examples: list[bytes], inputs: dict[str, np.ndarray], together: int
) -> float:
    """Compares the export, loaded back, with the network in memory; returns the largest difference.

    Both answer so many rows `together`.

    In mixed precision a graph rounds in other places than the same network run step by step. So the export has to agree
    with the network as a graph to 1e-5, and with the network run step by step up to the rounding of its precision. If
    the label is a number, its unit may be any: these are shares of the size of the answers (see `_answer_size`).

    Raises:
        PipelineError: The answers of the exported model differ by more.
    """

    def answer(values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return served.outputs(served.features(values))

    def compare(network: Network, rounding: float) -> float:
        expected = answer_in_parts(partial(_run, network), inputs, together)
        return _largest_difference(expected, received, truth, rounding)

    rounding, truth = _rounding(served.model), _largest_label(served, examples)
    received = _ask(loaded, examples, inputs, together)
    graph = compare(tf.function(answer), 0.0) if rounding else 0.0
    eager = compare(answer, rounding)
    for difference, allowed in ((graph, TOLERANCE), (eager, max(TOLERANCE, rounding))):
        if not difference <= allowed:
            raise PipelineError(
                "The exported model answers differently from the trained one.",
                expected=f"a difference of at most {allowed:g} on {len(examples)} examples of the eval split",
                received=f"{difference:.3g}",
                action="check the recipe for layers that behave differently with training=False or have state",
            )
    return graph if rounding else eager


def _run(network: Network, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    answers = network({name: tf.constant(value) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in answers.items()}


def _rounding(model: keras.Model) -> float:
    """Returns what rounding may change in the answers of a network in mixed precision; 0 for float32."""
    return max(ROUNDING.get(getattr(layer, "compute_dtype", ""), 0.0) for layer in (model, *model.layers))


def _largest_label(served: ServingModel, examples: list[bytes]) -> float | None:
    """Returns the largest size of the labels; None if they are no real numbers."""
    data, label = served.recipe.data, served.recipe.data.label
    if data.classes or label not in served.spec or not served.spec[label].dtype.is_floating:
        return None
    return _largest_size(tf.io.parse_example(examples, {label: served.spec[label]})[label].numpy())


def _largest_size(values: np.ndarray) -> float:
    sizes = np.abs(values.astype(np.float64))
    return float(np.max(sizes, where=np.isfinite(sizes), initial=np.finfo(np.float32).tiny))


def _ask(
    loaded: LoadedModel, examples: list[bytes], inputs: dict[str, np.ndarray], together: int
) -> list[dict[str, np.ndarray]]:
    """Returns the export's answers to rows: as examples and, unless the recipe has its own signature, as inputs."""
    requests = {"serving_examples": {"examples": np.array(examples, object)}, "serving_default": inputs}
    if loaded.signatures["serving_default"].inputs.keys() != inputs.keys():
        del requests["serving_default"]
    return [answer_in_parts(partial(loaded.predict, name), request, together) for name, request in requests.items()]


def _largest_difference(
    expected: dict[str, np.ndarray], received: list[dict[str, np.ndarray]], truth: float | None, rounding: float
) -> float:
    """Returns the largest difference of the export's answers; with `rounding` labels may flip, and are passed over."""
    worst, settled = 0.0, _settled_places(expected, 2 * max(TOLERANCE, rounding))
    for answers in received:
        for name, values in expected.items():
            if name.endswith(PICTURES):
                worst = max(worst, _picture_difference(values, answers[name]))
            elif values.dtype.kind in "fiu" or not rounding:
                given = answers[name] if name in RANKS else _keep_settled(values, answers[name], settled)
                worst = max(worst, _answer_difference(values, given, truth))
    return worst


def _settled_places(answers: dict[str, np.ndarray], tolerance: float) -> np.ndarray | None:
    """Returns which places of ranked answers (batch, places) rounding cannot exchange; None where no scores fall.

    Two whose scores are as good as equal may change places, and the last one may give way to one that is not listed.
    """
    scores = [answers[name] for name in RANKS if name in answers and answers[name].ndim == 2]  # noqa: PLR2004
    falls = [-np.diff(each.astype(np.float64), axis=1) for each in scores]
    if not falls or np.any(falls[0] < 0):
        return None
    apart = falls[0] > tolerance
    return np.pad(apart, ((0, 0), (1, 0)), constant_values=True) & np.pad(apart, ((0, 0), (0, 1)))


def _keep_settled(expected: np.ndarray, received: np.ndarray, settled: np.ndarray | None) -> np.ndarray:
    """Returns the received answers, with the expected ones at places that rounding may exchange."""
    if settled is None or expected.shape[:2] != settled.shape or received.shape != expected.shape:
        return received
    return np.where(settled.reshape(settled.shape + (1,) * (expected.ndim - 2)), received, expected)


def _picture_difference(expected: np.ndarray, received: np.ndarray) -> float:
    """Returns the largest mean difference of two pictures beyond the rounding of a pixel; 1 is black and white."""
    worst = 0.0
    for own, other in zip(expected, received, strict=True):
        first, second = (np.asarray(image.open_image(content), np.float64) / 255 for content in (own, other))
        worst = max(worst, float(np.abs(first - second).mean()) if first.shape == second.shape else 1.0)
    return max(0.0, worst - GREY)


def _answer_difference(expected: np.ndarray, received: np.ndarray, truth: float | None) -> float:
    """Returns the largest difference of two arrays; infinity where only one of them is not a number."""
    if expected.dtype.kind not in "fiu":
        return 0.0 if np.array_equal(expected, received) else 1.0
    wanted, given = expected.astype(np.float64), received.astype(np.float64)
    difference = np.where(wanted == given, 0.0, np.abs(wanted - given) / _answer_size(expected, truth))
    difference[np.isnan(wanted) & np.isnan(given)] = 0.0
    return float(np.max(np.nan_to_num(difference, nan=np.inf), initial=0.0))


def _answer_size(expected: np.ndarray, truth: float | None) -> np.ndarray:
    """Returns what a difference is a share of.

    Where the label is a real number, that is the largest answer of the sample, since all answers round like numbers of
    the target's unit, those near 0, too: they are the difference of larger ones. Where all answers are near 0, it is
    the label's size, within bounds: the answers may be in another unit. Everything else counts in ones, and numbers
    above one by themselves: float32 gives a fare of 100 no more digits than a probability.

    Args:
        expected: Answers of one output.
        truth: The largest label of the sample; None if labels are no real numbers.
    """
    if truth is None or expected.dtype.kind != "f":
        return np.maximum(np.abs(expected.astype(np.float64)), 1.0)
    largest = _largest_size(expected)
    return np.array(max(largest, min(truth, SHRUNK * largest)))
