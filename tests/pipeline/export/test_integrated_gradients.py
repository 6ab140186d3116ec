"""Integrated gradients beside what can be computed by hand, and beside a plain sum along the path."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipeline.export import integrated_gradients

RANDOM = np.random.default_rng(5)


def explained(score, values):
    """Attributions as a graph computes them, and the change of the score."""
    constants = {name: tf.constant(value, tf.float32) for name, value in values.items()}
    ends = score({name: tf.stack([tf.zeros_like(value), value]) for name, value in constants.items()})
    graph = tf.function(
        lambda: integrated_gradients.compute_attributions(score, constants, ends[0], ends[1]), autograph=False
    )
    return {name: value.numpy() for name, value in graph().items()}, float(ends[1] - ends[0])


def path_sum(score, values, steps=8000):
    """The definition, in double precision: the mean gradient at the middles of equal steps times the values."""
    shares = (np.arange(steps) + 0.5) / steps
    points = {n: tf.constant(np.tensordot(shares, value, 0), tf.float32) for n, value in values.items()}
    with tf.GradientTape() as tape:
        tape.watch(points)
        scores = score(points)
    slopes = tape.gradient(scores, points)
    return {n: slopes[n].numpy().astype(np.float64).mean(axis=0) * values[n] for n in values}


def test_a_linear_score_is_explained_exactly():
    weights, values = RANDOM.normal(size=(3, 2)), RANDOM.normal(size=(3, 2))
    found, change = explained(lambda x: tf.einsum("pij,ij->p", x["a"], tf.constant(weights, tf.float32)), {"a": values})
    np.testing.assert_allclose(weights * values, found["a"], rtol=1e-5)
    assert change == pytest.approx(found["a"].sum(), rel=1e-5)


def test_a_product_is_shared_equally():
    found, change = explained(lambda x: x["a"] * x["b"], {"a": np.array(3.0), "b": np.array(4.0)})
    assert [6.0, 6.0] == pytest.approx([found["a"], found["b"]], rel=1e-5)
    assert 12.0 == pytest.approx(change)


def test_a_power_is_shared_by_the_exponents():
    found, _ = explained(lambda x: x["a"] ** 2 * x["b"], {"a": np.array(2.0), "b": np.array(5.0)})
    assert [40 / 3, 20 / 3] == pytest.approx([found["a"], found["b"]], rel=1e-5)


def network(width, steepness):
    hidden, last = RANDOM.normal(size=(6, width)) / 2, RANDOM.normal(size=width)
    bias = RANDOM.normal(size=width)

    def score(points):
        states = tf.nn.relu(points["x"] @ tf.constant(hidden, tf.float32) + tf.constant(bias, tf.float32))
        return tf.sigmoid(steepness * tf.linalg.matvec(states, tf.constant(last / np.sqrt(width), tf.float32)))

    return score


@pytest.mark.parametrize("steepness", [1.0, 10.0, 50.0])
@pytest.mark.parametrize("width", [3, 64])
def test_kinks_and_saturation_agree_with_the_sum_along_the_path(width, steepness):
    for _ in range(2):
        score, values = network(width, steepness), {"x": RANDOM.normal(size=6) * 2}
        found, change = explained(score, values)
        assert abs(found["x"].sum() - change) <= 0.01 * abs(change) + 1e-5
        np.testing.assert_allclose(
            path_sum(score, values)["x"], found["x"], atol=0.03 * np.abs(found["x"]).max() + 1e-4
        )


def test_what_does_not_count_gets_nothing():
    found, _ = explained(lambda x: tf.sin(x["a"]), {"a": np.array(1.0), "b": np.array([1.0, 2.0])})
    assert [0.0, 0.0] == found["b"].tolist()
    assert np.sin(1.0) == pytest.approx(found["a"], rel=1e-5)


def test_a_score_without_a_gradient_is_refused():
    with pytest.raises(integrated_gradients.NoGradientError):
        explained(lambda x: tf.round(x["a"]), {"a": np.array(1.0)})


def test_a_score_that_is_no_number_ends():
    found, change = explained(lambda x: tf.math.log(x["a"] - 2.0), {"a": np.array(1.0)})
    assert 0.0 == found["a"]
    assert np.isnan(change)
