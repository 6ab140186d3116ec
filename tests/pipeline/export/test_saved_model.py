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
    return saved_model.require_same_answers(parts, Export(parts, error), EXAMPLES, {"x": ROWS}, len(ROWS))


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


UNITS = (1e-9, 1.0, 1e9)


def regression(unit, precision="float32"):
    """A network that answers one number in a unit, on both sides of 0; its labels, and examples with them."""
    keras.utils.set_random_seed(5)
    x = keras.Input((8,), name="x")
    y = layers.Dense(1, dtype="float32")(layers.Dense(64, "gelu", dtype=precision)(x))
    model = keras.Model({"x": x}, layers.Rescaling(unit, dtype="float32")(y))
    data = SimpleNamespace(classes=(), inputs={"x": "float[8]"}, label="price")
    recipe = Recipe(data=data, params=None, preprocess=None, build=None)
    spec = {"x": tf.io.FixedLenFeature((8,), tf.float32), "price": tf.io.FixedLenFeature((), tf.float32)}
    labels = [float(unit * row.sum()) for row in ROWS]
    return signatures.ServingModel(recipe, model, lambda raw: {"x": raw["x"]}, spec), [priced(one) for one in labels]


def priced(price):
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[price]))
    return tf.train.Example(features=tf.train.Features(feature={"price": feature})).SerializeToString()


def compare_numbers(unit, error, precision="float32"):
    parts, examples = regression(unit, precision)
    return saved_model.require_same_answers(parts, Export(parts, error), examples, {"x": ROWS}, len(ROWS))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_rounding_of_a_target_in_any_unit_passes(unit, precision):
    for share in (0.0, 1e-6, -1e-6):  # of the unit: answers near 0 round as the others do
        assert compare_numbers(unit, lambda values, by=share * unit: values + by, precision) <= saved_model.TOLERANCE


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "error", [lambda values: 0 * values, lambda values: np.roll(values, 1, 0), lambda values: 1.001 * values]
)
def test_another_answer_in_any_unit_fails(unit, precision, error):
    with pytest.raises(PipelineError, match="answers differently"):
        compare_numbers(unit, error, precision)


@pytest.mark.parametrize("unit", UNITS)
def test_answers_that_are_all_near_zero_round_as_the_target_does(unit):
    """They are the difference of numbers in the target's unit; a bound of their own size would refuse rounding."""
    near = np.array([1e-2, -2e-2, 5e-3], np.float32) * np.float32(unit)
    rounded = near + np.float32(1e-7 * unit)
    assert saved_model._answer_difference(near, rounded, 3 * unit) <= saved_model.TOLERANCE
    assert saved_model._answer_difference(near, 0 * near, 3 * unit) > saved_model.TOLERANCE
    assert saved_model._answer_difference(0 * near, 0 * near, 3 * unit) == 0


@pytest.mark.parametrize("truth", [1e-9, 1e9])
def test_an_answer_in_another_unit_than_the_target_is_compared_in_its_own(truth):
    shares = np.array([0.2, 0.7, 0.1], np.float32)
    assert saved_model._answer_difference(shares, shares + np.float32(1e-7), truth) <= saved_model.TOLERANCE
    assert saved_model._answer_difference(shares, np.roll(shares, 1), truth) > saved_model.TOLERANCE


def test_what_is_no_number_in_the_targets_unit_is_compared_as_before():
    """Small probabilities by 1e-5, large numbers by their own size, positions exactly."""
    small = np.array([1e-7, 2e-6], np.float32)
    assert saved_model._answer_difference(small, 2 * small, None) <= saved_model.TOLERANCE
    fares = np.array([100.0, 0.5], np.float32)
    assert saved_model._answer_difference(fares, fares + np.float32([9e-4, 0]), None) <= saved_model.TOLERANCE
    assert saved_model._answer_difference(fares, fares + np.float32([0, 9e-4]), None) > saved_model.TOLERANCE
    places = np.array([1, 40_000])
    assert saved_model._answer_difference(places, places + np.array([1, 0]), 1e9) > saved_model.TOLERANCE


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


@pytest.mark.parametrize(
    ("scores", "labels", "same"),
    [
        ([0.9, 0.5, 0.3], [b"b", b"a", b"c"], False),  # another answer
        ([0.9, 0.5, 0.5 - 1e-7], [b"a", b"c", b"b"], True),  # rounding exchanges two
        ([0.9, 0.5, 0.3], [b"a", b"b", b"d"], True),  # the last one gives way to one as good
        ([0.9, 0.5, 0.5 - 1e-7], [b"d", b"c", b"b"], False),
    ],
)
def test_places_of_a_ranking_that_rounding_may_exchange(scores, labels, same):
    ranked = {"scores": np.array([scores], np.float32), "labels": np.array([[b"a", b"b", b"c"]], object)}
    settled = saved_model._settled_places(ranked, 2e-5)
    given = saved_model._keep_settled(ranked["labels"], np.array([labels], object), settled)
    assert same == np.array_equal(ranked["labels"], given)
    boxes = np.zeros((1, 3, 4))
    assert (1, 3, 4) == saved_model._keep_settled(boxes, boxes + 1, settled).shape


def test_scores_in_another_order_rank_nothing():
    unsorted = {"scores": np.array([[0.5, 0.5, 0.9]]), "labels": np.array([[b"a", b"b", b"c"]], object)}
    assert saved_model._settled_places(unsorted, 2e-5) is None


class LastRowOff(Export):
    """The network, asked for some rows at a time, with another answer to the last one; it notes how many they are."""

    def __init__(self, parts, asked):
        super().__init__(parts, None)
        self.asked = asked

    def predict(self, signature, request):
        rows = request["x"] if signature == "serving_default" else ROWS[[int(name) for name in request["examples"]]]
        self.asked.append(len(rows))
        answers = {name: value.numpy() for name, value in self.answer(tf.constant(rows)).items()}
        off = (rows == ROWS[-1]).all(axis=1)[:, None]
        return {name: value + 0.1 * off for name, value in answers.items()}


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_rows_are_compared_in_parts_and_the_last_one_as_well(precision):
    parts, asked = served(precision), []
    examples = [b"%d" % number for number in range(len(ROWS))]
    with pytest.raises(PipelineError, match="answers differently"):
        saved_model.require_same_answers(parts, LastRowOff(parts, asked), examples, {"x": ROWS}, 3)
    assert 2 * len(ROWS) == sum(asked)
    assert 3 == max(asked)
