"""Any Keras optimizer by name, with a learning-rate schedule by name."""

from __future__ import annotations

from typing import Any

import keras

SCHEDULES = ("constant", "cosine", "exponential")
EXPONENTIAL_END = 0.01


def optimizer(name: str, learning_rate: float, schedule: str, steps: int, **config: Any) -> keras.optimizers.Optimizer:
    """Makes an optimizer.

    Args:
        name: Name of a Keras optimizer: "adam", "sgd", "rmsprop", "adamw", …
        learning_rate: Rate at the start.
        schedule: "constant", "cosine" (to zero; Loshchilov and Hutter, arXiv:1608.03983, equation 5 without restarts)
            or "exponential" (to a hundredth).
        steps: Optimizer steps of the whole training.
        config: Further arguments of the optimizer.

    Raises:
        ValueError: Unknown optimizer or schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule; expected one of {', '.join(SCHEDULES)}. Received: {schedule}")
    rate: Any = learning_rate
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    elif schedule == "exponential":
        rate = keras.optimizers.schedules.ExponentialDecay(learning_rate, steps, EXPONENTIAL_END)
    return keras.optimizers.get({"class_name": name, "config": {"learning_rate": rate, **config}})
