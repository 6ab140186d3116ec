"""The norm of the gradients, computed within the training step."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import keras


class GradientNorm:
    """The global norm of the gradients, computed within the training step: a second pass would cost another step.

    With several replicas it is that of the first one, before gradients are aggregated and clipped. Create it in the
    scope of the model's strategy.

    Args:
        optimizer: The compiled model's optimizer.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.optimizer = optimizer
        self._wanted = tf.Variable(initial_value=False, trainable=False, aggregation=first)
        self._norm = tf.Variable(float("nan"), trainable=False, aggregation=first)

    def request(self) -> None:
        """Has the next step compute the norm; other steps pay for one comparison."""
        self._wanted.assign(value=True)

    def read(self) -> float:
        """Returns the norm of the last step; NaN if a custom training step does not use the optimizer."""
        self._wanted.assign(value=False)
        return float(self._norm.numpy())

    @contextmanager
    def attach(self) -> Iterator[None]:
        """Wraps the optimizer's `apply` during the block."""
        original = self.optimizer.apply

        def apply(grads: Sequence[Any], trainable_variables: Any = None) -> Any:
            # Assigned outside the branch, where a distribution strategy can copy it from one device to another.
            self._norm.assign(tf.cond(self._wanted, lambda: self._norm_of(grads), lambda: float("nan")))
            return original(grads, trainable_variables)

        self.optimizer.apply = apply
        try:
            yield
        finally:
            del self.optimizer.apply  # uncovers the method of its class

    def _norm_of(self, grads: Sequence[Any]) -> tf.Tensor:
        # Half precision scales the loss up, and the gradients with it.
        scale = tf.cast(tf.convert_to_tensor(getattr(self.optimizer, "dynamic_scale", 1.0)), tf.float32)
        gradients = [tf.cast(gradient, tf.float32) for gradient in grads if gradient is not None]
        return tf.linalg.global_norm(gradients) / scale
