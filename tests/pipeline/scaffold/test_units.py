"""Drafted recipes for numbers learn alike in any unit of the target, and have the parts that make them good."""

from __future__ import annotations

import dataclasses
import math
import random
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pipeline.recipe import Spec
from pipeline.recipes import catalog
from pipeline.training.numbers import Periodic

pytestmark = pytest.mark.heavy
UNITS = (1e-9, 1.0, 1e9)
BATCH, EPOCHS = 64, 6


@pytest.fixture
def recipe(drafted, write_csv, monkeypatch):
    """Drafts a recipe for the columns of a table; its preprocessing needs no Transform."""
    monkeypatch.setattr("tensorflow_transform.scale_to_z_score", standardize)

    def make(columns, target, task=""):
        return catalog.load_recipe(drafted(write_csv(columns), target, task).source.path)

    return make


def standardize(numbers, elementwise=False):
    return (numbers - tf.reduce_mean(numbers, axis=0)) / tf.math.reduce_std(numbers, axis=0)


@pytest.fixture
def rows():
    """Two numbers, and a price that rises with one and waves with the other."""
    drawn = random.Random(1)
    sizes, ages = ([round(drawn.uniform(0, 10), 3) for _ in range(600)] for _ in range(2))
    prices = [size + 3 * math.sin(age) + drawn.gauss(0, 0.3) for size, age in zip(sizes, ages, strict=True)]
    return {"size": sizes, "age": ages, "price": prices}


def in_unit(columns, target, unit):
    return {**columns, target: [unit * value for value in columns[target]]}


def columns_of(recipe):
    """The rows as arrays by name, the label among them."""
    found = [example.features for example in recipe.data.examples(Path("/"))]
    kinds = {**recipe.data.inputs, recipe.data.label: "float"}
    return {
        name: np.array([row[name] for row in found], object if kind == "bytes" else np.float32)
        for name, kind in kinds.items()
    }


def preprocess(recipe, columns):
    inputs = {name: tf.constant(columns[name]) for name in recipe.data.inputs}
    return {name: value.numpy() for name, value in recipe.preprocess(inputs, recipe.params).items()}


def build(recipe, features, **changes):
    keras.utils.set_random_seed(1)
    shapes = {name: (value.shape[1:], value.dtype.name) for name, value in features.items()}
    return recipe.build(dataclasses.replace(recipe.params, **changes), Spec(shapes, recipe.data.classes, 100))


def first_step(model, features, truth):
    """The loss before the training, and the norm of its gradient."""
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=features, y=tf.constant(truth), y_pred=model(features, training=False))
    return float(loss), float(tf.linalg.global_norm(tape.gradient(loss, model.trainable_variables)))


def learn(recipe, unit):
    """What there is to see of a short training: none of it may depend on the unit."""
    columns = columns_of(recipe)
    features, truth = preprocess(recipe, columns), columns[recipe.data.label]
    model = build(recipe, features)
    loss, gradient = first_step(model, features, truth)
    batches = tf.data.Dataset.from_tensor_slices((features, truth)).batch(BATCH)
    history = model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0).history
    answers = model.predict(batches.map(lambda row, _: row), verbose=0).reshape(truth.shape)
    return {
        "loss": loss,
        "gradient": gradient,
        "losses": history["loss"],
        "errors": history["error"],
        "mae": float(np.abs(answers - truth).mean() / unit),
        "answers": answers,
    }


def require_alike(found):
    """Numbers are rounded in other places in each unit, and the recipe has four digits of the target's spread."""
    for name in ("loss", "gradient", "losses", "errors", "mae"):
        for other in found:
            assert other[name] == pytest.approx(found[1][name], rel=0.02), name


def test_a_series_is_learnt_alike_in_any_unit(recipe, series):
    days = {name: series[name] for name in ("day", "sold")}
    found, skills = [], []
    for unit in UNITS:
        made = recipe(in_unit(days, "sold", unit), "sold")
        found.append(learn(made, unit))
        test = columns_of(made)
        served = SimpleNamespace(predict=lambda *_, answers=found[-1]["answers"]: {"forecast": answers})
        skills.append(made.score(served, SimpleNamespace(test=test), None)["skill"])
    require_alike(found)
    assert skills == pytest.approx([skills[1]] * 3, abs=0.02)
    assert skills[1] > 0.1


@pytest.mark.parametrize("loss", ["mae", "huber", "mse"])
def test_every_loss_of_a_series_is_in_deviations(recipe, series, loss):
    days = {name: series[name] for name in ("day", "sold")}
    steps = []
    for unit in UNITS:
        made = recipe(in_unit(days, "sold", unit), "sold")
        columns = columns_of(made)
        features = preprocess(made, columns)
        steps.append(first_step(build(made, features, loss=loss), features, columns[made.data.label]))
    for step in steps:
        assert step == pytest.approx(steps[1], rel=1e-3)
        assert 0.1 < step[0] < 10


def test_a_table_is_learnt_alike_in_any_unit(recipe, rows):
    found = [learn(recipe(in_unit(rows, "price", unit), "price"), unit) for unit in UNITS]
    require_alike(found)
    guess = np.abs(np.array(rows["price"]) - np.median(rows["price"])).mean()
    assert found[1]["mae"] < 0.7 * guess


def test_a_table_is_learnt_alike_far_from_zero(recipe, rows):
    moved = {**rows, "price": [12_345.6 + price for price in rows["price"]]}
    near, far = (learn(recipe(columns, "price"), 1.0) for columns in (rows, moved))
    assert far["loss"] == pytest.approx(near["loss"], rel=0.1)  # the middle is rounded to a tenth of the spread
    assert far["mae"] == pytest.approx(near["mae"], rel=0.1)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_the_error_that_a_training_shows_is_that_of_each_row_with_its_own_answer(recipe, rows, shape):
    made = recipe(rows, "price")
    columns = columns_of(made)
    features, truth = preprocess(made, columns), columns["price"]
    model = build(made, features)
    batches = tf.data.Dataset.from_tensor_slices((features, truth.reshape(shape))).batch(100)  # equal ones
    model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0)  # all answers are near to each other before
    answers = model.predict(batches.map(lambda row, _: row), verbose=0).reshape(-1)
    error = model.evaluate(batches, verbose=0, return_dict=True)["error"]
    assert error == pytest.approx(np.abs(answers - truth).mean() / np.std(truth), rel=0.01)


def operations_before(tensor):
    """Yields the operations that a tensor comes from, up to the next ones with weights, these included."""
    history = tensor._keras_history
    yield history.operation
    if not getattr(history.operation, "weights", None):
        for source in history.operation._inbound_nodes[history.node_index].input_tensors:
            yield from operations_before(source)


def weighted(operations):
    return [one for one in operations if getattr(one, "weights", None)]


def drops(operations):
    return [one for one in operations if isinstance(one, layers.Dropout) and one.rate > 0]


def require_parts(model, *, drops_before_output=False):
    """No dropout shifts the answer, and one way to it has no hidden layer."""
    output_layers = weighted(operations_before(model.output))
    before = {layer: list(operations_before(layer.input)) for layer in output_layers}
    assert drops(operations_before(model.output)) == []
    assert drops_before_output or not any(map(drops, before.values()))
    assert [True, False] == sorted((not weighted(operations) for operations in before.values()), reverse=True)


def test_a_series_has_a_linear_way_and_no_dropout_before_its_answer(recipe, series):
    made = recipe(series, "sold")
    others = {"window": np.zeros((2, 28, 3), np.float32), "last": np.zeros(2, np.float32)}
    model = build(made, {**others, "clock": np.zeros((2, 6), np.float32)}, dropout=0.5)
    require_parts(model)
    assert drops(model.layers)


@pytest.mark.parametrize("target", ["price", "dear"])
def test_a_table_has_a_linear_way_and_periodic_numbers(recipe, rows, target):
    columns = {**rows, "dear": ["yes" if price > 5 else "no" for price in rows["price"]]}
    del columns[{"price": "dear", "dear": "price"}[target]]
    made = recipe(columns, target)
    model = build(made, preprocess(made, columns_of(made) if target == "price" else rows_of(rows)), dropout=0.5)
    require_parts(model, drops_before_output=target == "dear")
    assert [layer.frequencies for layer in model.layers if isinstance(layer, Periodic)] == [8]
    assert drops(model.layers)


def rows_of(rows):
    return {name: np.array(rows[name], np.float32) for name in ("size", "age")}


def test_dropout_of_a_table_with_one_hidden_layer_is_none_before_its_answer(recipe, rows):
    made = recipe(rows, "price")
    require_parts(build(made, preprocess(made, columns_of(made)), units=(16,), dropout=0.5))
