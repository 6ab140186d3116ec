"""The length of the gradient, taken by the optimizer in passing at the steps that somebody asks for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import keras


class GradientNorm:
    """The global norm of the gradients, taken where they are anyway: another pass over a batch would cost a step.

    With several replicas it is that of the first one, before gradients are brought together and clipped. Make it in the
    scope of the model's strategy.

    Args:
        optimizer: Of the compiled model.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.optimizer = optimizer
        self._wanted = tf.Variable(initial_value=False, trainable=False, aggregation=first)
        self._norm = tf.Variable(float("nan"), trainable=False, aggregation=first)

    def ask(self) -> None:
        """Has the next step take it; a step that nobody asks pays for one comparison."""
        self._wanted.assign(value=True)

    def read(self) -> float:
        """That of the last step that was asked; not a number where a training step of its own passes no optimizer."""
        self._wanted.assign(value=False)
        return float(self._norm.numpy())

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Puts itself before the optimizer while a model is fitted."""
        original = self.optimizer.apply

        def apply(grads: Sequence[Any], trainable_variables: Any = None) -> Any:
            # Assigned outside the branch, where a distribution strategy can carry it from one device to another.
            self._norm.assign(tf.cond(self._wanted, lambda: self._of(grads), lambda: float("nan")))
            return original(grads, trainable_variables)

        self.optimizer.apply = apply
        try:
            yield
        finally:
            del self.optimizer.apply  # the method of its class is found again

    def _of(self, grads: Sequence[Any]) -> tf.Tensor:
        # Half precision scales the loss up, and the gradients with it.
        scale = tf.cast(tf.convert_to_tensor(getattr(self.optimizer, "dynamic_scale", 1.0)), tf.float32)
        known = [tf.cast(gradient, tf.float32) for gradient in grads if gradient is not None]
        return tf.linalg.global_norm(known) / scale
