"""Where training computes, and what the network costs: devices, precision, determinism, operations per row."""

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
    """Raises a UsageError for a name that means nothing."""
    for name, value, allowed in (
        ("KERASPIPE_DISTRIBUTION", distribution, DISTRIBUTIONS),
        ("KERASPIPE_MIXED_PRECISION", mixed_precision, POLICIES),
    ):
        if value not in allowed:
            raise UsageError(f"{name} has an unknown value.", expected=f"one of {', '.join(allowed)}", received=value)


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
        # Without growth TensorFlow takes the whole card, and an evaluation at the same time finds no memory left.
        tf.config.experimental.set_memory_growth(gpu, enable=True)


def make_strategy(distribution: str) -> tf.distribute.Strategy:
    """MirroredStrategy over all devices when configured or when there are several GPUs, else the default one."""
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if distribution == "mirrored" or (distribution == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def count_flops(model: keras.Model, features: Mapping[str, tf.Tensor]) -> int | None:
    """Operations of the network for one row, by TensorFlow's profiler: a multiplication and an addition are two.

    Preprocessing is not counted, the body of a loop once, and what has no fixed shape not at all. None where the
    network cannot be traced alone.

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
    except Exception:  # noqa: BLE001  (a number that only informs must not cost the training)
        return None
