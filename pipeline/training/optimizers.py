"""Any Keras optimizer by name, with a learning-rate schedule by name."""

from __future__ import annotations

from typing import Any

import keras

SCHEDULES = ("constant", "cosine", "exponential")
EXPONENTIAL_END = 0.01


def optimizer(
    name: str, learning_rate: float, schedule: str, steps: int, *, warm_up: float = 0.0, **config: Any
) -> keras.optimizers.Optimizer:
    """Returns an optimizer.

    Args:
        name: Name of a Keras optimizer: "adam", "sgd", "rmsprop", "adamw", …
        learning_rate: Rate at the start, or after the warm-up.
        schedule: "constant", "cosine" (to zero; Loshchilov and Hutter, arXiv:1608.03983, equation 5 without restarts)
            or "exponential" (to a hundredth).
        steps: Optimizer steps of the whole training.
        warm_up: Share of the steps in which the rate rises from zero (Goyal et al., arXiv:1706.02677, section 2.2);
            "cosine" only.
        config: Other arguments of the optimizer.

    Raises:
        ValueError: Unknown optimizer or schedule, or a warm-up with another schedule than "cosine".
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule; expected one of {', '.join(SCHEDULES)}. Received: {schedule}")
    if warm_up and schedule != "cosine":
        raise ValueError(f'a warm-up is for the schedule "cosine" only. Received: {schedule}')
    rate: Any = learning_rate
    if schedule == "cosine":
        rate = _cosine(learning_rate, steps, round(warm_up * steps))
    elif schedule == "exponential":
        rate = keras.optimizers.schedules.ExponentialDecay(learning_rate, steps, EXPONENTIAL_END)
    return keras.optimizers.get({"class_name": name, "config": {"learning_rate": rate, **config}})


def _cosine(learning_rate: float, steps: int, rising: int) -> keras.optimizers.schedules.CosineDecay:
    if not rising:
        return keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    falling = max(steps - rising, 1)
    return keras.optimizers.schedules.CosineDecay(0.0, falling, warmup_target=learning_rate, warmup_steps=rising)
