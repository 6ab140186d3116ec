"""Devices, precision and determinism of a training, and the operations that a network needs for one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras
    import tensorflow as tf


POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
DISTRIBUTIONS = ("auto", "mirrored", "none", "nodes")


def check_names(distribution: str, mixed_precision: str) -> None:
    """Raises a UsageError for an unknown name."""
    for name, value, allowed in (
        ("KERASPIPE_DISTRIBUTION", distribution, DISTRIBUTIONS),
        ("KERASPIPE_MIXED_PRECISION", mixed_precision, POLICIES),
    ):
        if value not in allowed:
            raise UsageError(
                f"{name} has an unknown value.",
                expected=f"one of {', '.join(allowed)}",
                received=value,
                action="correct the setting, or leave it out",
            )


def configure(config: dict[str, Any]) -> None:
    """Sets seed, precision and determinism for the whole process."""
    import keras
    import tensorflow as tf

    keras.backend.clear_session()
    keras.utils.set_random_seed(config["seed"])
    keras.mixed_precision.set_dtype_policy(config["mixed_precision"])
    if config["deterministic"]:
        tf.config.experimental.enable_op_determinism()
    for gpu in tf.config.list_physical_devices("GPU"):
        # Without growth TensorFlow takes the whole GPU's memory and leaves none for an evaluation at the same time.
        tf.config.experimental.set_memory_growth(gpu, enable=True)


def make_strategy(distribution: str) -> tf.distribute.Strategy:
    """Returns MirroredStrategy over all devices if configured or with several GPUs, else the default strategy."""
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if distribution == "mirrored" or (distribution == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def count_flops(model: keras.Model, features: Mapping[str, tf.Tensor]) -> int | None:
    """Counts the operations of the network for one row by TensorFlow's profiler; a multiply-add counts as two.

    Preprocessing and operations without a fixed shape are not counted, and the body of a loop counts once. None if
    the network cannot be traced alone.

    Args:
        model: The network.
        features: Preprocessed features of any number of rows, (rows, …) each.
    """
    import tensorflow as tf

    inputs = {name: tf.TensorSpec((1, *value.shape[1:]), value.dtype) for name, value in features.items()}
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    try:
        function = tf.function(lambda features: model(features, training=False), autograph=False)
        graph = function.get_concrete_function(inputs).graph
        return int(tf.compat.v1.profiler.profile(graph, options={**options, "output": "none"}).total_float_ops)
    except Exception:  # noqa: BLE001  (an informative number must not fail the training)
        return None
