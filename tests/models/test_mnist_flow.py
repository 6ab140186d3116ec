"""The recipe mnist_flow: its steps from noise to image, what the label changes, and labels that are no digits."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.mnist_flow import Flow
from pipeline.generation.noise import normal_rows
from pipeline.settings import ROOT

# Not as high as rows are many: keras.ops.add takes (4, 1, 1, 1) for a bias of the rows of pixels then (3.15).
SHAPE, STEPS = (6, 6, 1), 10
OPTIONS = {"decay": 0.9, "hidden_labels": 0.1, "steps": STEPS, "guidance": 2.0}

pytestmark = pytest.mark.heavy


def flow(field, *inputs):
    return Flow(keras.Model(inputs, field), 10, OPTIONS)


@pytest.fixture
def inputs():
    return keras.Input(SHAPE), keras.Input(()), keras.Input((), dtype="int32")


def test_heuns_method_goes_as_its_formula_says(inputs):
    """Of x' = -x every step leaves 1 - h + h² / 2; Euler's would leave 1 - h."""
    image, time, digit = inputs
    model, seed, size = (
        flow(keras.layers.Rescaling(-1.0)(image), image, time, digit),
        tf.constant([3, 4], tf.int64),
        1 / STEPS,
    )
    expected = normal_rows(seed, SHAPE) * (1 - size + size**2 / 2) ** STEPS
    drawn = model.generate(seed, tf.constant([0, 1]))
    np.testing.assert_allclose(np.clip((expected + 1) / 2, 0, 1), drawn, atol=1e-6)


def test_guidance_stresses_what_the_digit_changes(inputs):
    """A velocity that is the embedding of the digit: 1 with a digit, 0 without one, and with guidance 2 it is 3."""
    image, time, digit = inputs
    table = keras.initializers.Constant(np.array([[1.0]] * 10 + [[0.0]]))
    given = keras.layers.Reshape((1, 1, 1))(keras.layers.Embedding(11, 1, embeddings_initializer=table)(digit))
    model = flow(keras.layers.Rescaling(0.0)(image) + given, image, time, digit)
    velocity = model.velocity(tf.zeros((2, *SHAPE)), 0.5, tf.constant([3, 7]))
    np.testing.assert_allclose(3.0, velocity)


@pytest.mark.long
@pytest.mark.parametrize(
    "sampled_recipe", [pytest.param(ROOT / "models" / "mnist_flow.py", id="mnist_flow")], indirect=True
)
def test_only_digits_are_drawn(sampled_recipe, tmp_path):
    from serving.core.model import LoadedModel
    from serving.errors import ServingError

    sampled_recipe.export(sampled_recipe.network(10), tmp_path / "served")
    model = LoadedModel(tmp_path / "served")
    for label in (-1, 10):
        with pytest.raises(ServingError, match="label is a digit from 0 to 9"):
            model.predict("serving_default", {"seed": np.array([1]), "label": np.array([label])})
    assert b"PNG" in model.predict("serving_default", {"seed": np.array([1]), "label": np.array([9])})["image_bytes"][0]
    model.close()
