"""An export has to answer as the network does, up to the rounding of its precision and no more."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pipeline.errors import PipelineError
from pipeline.export import saved_model, signatures
from pipeline.recipe import Recipe

pytestmark = pytest.mark.heavy

ROWS = np.random.default_rng(3).normal(size=(32, 8)).astype(np.float32)
EXAMPLES = [tf.train.Example().SerializeToString()] * len(ROWS)


def served(precision):
    """A network of some layers whose answers round differently in a graph and step by step."""
    keras.utils.set_random_seed(5)
    x = keras.Input((8,), name="x")
    y = x
    for _ in range(4):
        y = layers.LayerNormalization(dtype=precision)(layers.Dense(64, "gelu", dtype=precision)(y))
    y = layers.Dense(3, "softmax", dtype=precision)(y)
    data = SimpleNamespace(classes=(), inputs={"x": "float[8]"}, label="label")
    recipe = Recipe(data=data, params=None, preprocess=None, build=None)
    spec = {"x": tf.io.FixedLenFeature((8,), tf.float32)}
    model = keras.Model({"x": x}, layers.Activation("linear", dtype="float32")(y))
    return signatures.ServingModel(recipe, model, lambda raw: {"x": raw["x"]}, spec, {"x": ROWS})


class Export:
    """The network as a graph, with an error in its answers."""

    def __init__(self, parts, error):
        self.signatures = {"serving_default": SimpleNamespace(inputs={"x": None})}
        self.answer = tf.function(lambda x: parts.outputs(parts.features({"x": x})))
        self.error = error

    def predict(self, signature, request):
        del signature, request
        return {name: self.error(value.numpy()) for name, value in self.answer(tf.constant(ROWS)).items()}


def compare(precision, error):
    parts = served(precision)
    return saved_model.require_same_answers(parts, Export(parts, error), EXAMPLES, {"x": ROWS})


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_rounding_passes(precision):
    assert compare(precision, lambda values: values) <= saved_model.TOLERANCE


def spoil_one(values):
    values[7, 1] = np.nan
    return values


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    "error", [lambda values: values + 1e-3, lambda values: np.roll(values, 1, 0), lambda values: 0 * values, spoil_one]
)
def test_another_answer_fails(precision, error):
    with pytest.raises(PipelineError, match="answers differently"):
        compare(precision, error)


def test_mixed_precision_rounds_differently_step_by_step():
    """Otherwise the tests above would say nothing."""
    parts = served("mixed_bfloat16")
    graph, eager = Export(parts, np.asarray).predict("", {}), parts.outputs(parts.features({"x": ROWS}))
    assert np.abs(graph["value"] - eager["value"].numpy()).max() > saved_model.TOLERANCE


def test_every_weight_is_written_once(tmp_path):
    model = served("float32").model
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", lambda x: model({"x": x}), [tf.TensorSpec([None, 8], tf.float32, "x")])
    saved_model._list_variables_once(archive)
    archive.write_out(str(tmp_path), verbose=False)
    written = tf.train.load_checkpoint(str(tmp_path / "variables" / "variables")).get_variable_to_shape_map()
    sizes = sorted(tuple(shape) for name, shape in written.items() if name.endswith("VARIABLE_VALUE"))
    assert sorted(tuple(weight.shape) for weight in model.weights) == sizes
    answer = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](x=tf.constant(ROWS))
    np.testing.assert_allclose(model({"x": ROWS}), next(iter(answer.values())), atol=1e-6)
