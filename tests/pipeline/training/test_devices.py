"""Settings of the computation."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline import subprocesses
from pipeline.errors import UsageError
from pipeline.training import devices


@pytest.mark.parametrize("distribution", devices.DISTRIBUTIONS)
@pytest.mark.parametrize("policy", devices.POLICIES)
def test_known_names_pass(distribution, policy):
    assert devices.check_names(distribution, policy) is None


@pytest.mark.parametrize(
    ("distribution", "policy", "words"),
    [
        ("mirored", "float32", "KERASPIPE_DISTRIBUTION has an unknown value"),
        ("auto", "float16", "KERASPIPE_MIXED_PRECISION has an unknown value"),
        ("", "float32", "Expected: one of auto, mirrored, none"),
    ],
)
def test_unknown_names_are_usage_errors(distribution, policy, words):
    with pytest.raises(UsageError) as caught:
        devices.check_names(distribution, policy)
    assert words in str(caught.value)


# AddN overwrites an input that nobody else reads any more: which one is a matter of timing.
THREE_GRADIENTS = """
from pipeline import subprocesses
from pipeline.training import devices
subprocesses.configure_tensorflow(deterministic=True)
import numpy as np
import tensorflow as tf
devices.configure({"seed": 1, "mixed_precision": "float32", "deterministic": True})
generator = np.random.default_rng(0)
x, y, z = (tf.constant(generator.normal(size=300_000).astype("float32")) for _ in range(3))

@tf.function
def add():
    a, b, c = tf.sin(x), tf.sin(y), tf.sin(z)
    return tf.add_n([a, b, c]), tf.reduce_sum(tf.tanh(a)), tf.reduce_sum(tf.tanh(tf.tanh(b)))

print(len({add()[0].numpy().tobytes() for _ in range(300)}))
"""


@pytest.mark.process
def test_gradients_of_a_tensor_with_three_consumers_are_added_in_one_order():
    inherited = {name: value for name, value in subprocesses.environment().items() if name != "TF_NUM_INTEROP_THREADS"}
    answer = subprocess.run(
        [sys.executable, "-c", THREE_GRADIENTS],
        env=inherited,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "1" == answer.stdout.strip()
