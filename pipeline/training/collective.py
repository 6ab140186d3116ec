"""Several workers train one network together: each takes its share of every batch, and all take the same steps.

Keras 3's `fit` cannot run under MultiWorkerMirroredStrategy (`Trainer._maybe_symbolic_build` passes a whole batch to
`Strategy.reduce`, which takes one tensor). So every worker runs the ordinary `fit`, and the strategy only reduces
numbers: gradients at each step, weights and metrics at the end of each epoch.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from pipeline.training.input_pipeline import Rows

TOLERANCE = 1e-3  # of the largest weight: machines of different kinds round differently


class SingleWorker:
    """A process that trains alone.

    Attributes:
        index: Number of this process, from 0; number 0 writes the files.
        count: Number of processes.
    """

    index, count = 0, 1

    def share(self, rows: Rows) -> Rows:
        """Returns all rows."""
        return rows

    def batch_size(self, wanted: int) -> int:
        """Returns the wanted size."""
        return wanted

    def begin(self, model: keras.Model, first: int) -> None:
        """Does nothing."""

    def average_gradients(self, optimizer: keras.optimizers.Optimizer) -> AbstractContextManager[None]:  # noqa: ARG002
        """Averages nothing."""
        return nullcontext()

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns no callbacks."""
        return []


class MultiWorker:
    """This process among the nodes that TF_CONFIG lists.

    Create it once in a process, before TensorFlow computes anything; it waits for the other nodes. A node computes on
    its first GPU: a machine with several GPUs runs a node for each.

    Attributes:
        index: Number of this node, from 0; node 0 writes the files.
        count: Number of nodes.
    """

    def __init__(self) -> None:
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:1], "GPU")
        self._cluster = tf.distribute.MultiWorkerMirroredStrategy()
        self.index = int(self._cluster.cluster_resolver.task_id)
        self.count = int(self._cluster.num_replicas_in_sync)
        self._mean, self._sum = (
            tf.function(partial(self._all_reduce, op))
            for op in (tf.distribute.ReduceOp.MEAN, tf.distribute.ReduceOp.SUM)
        )

    def _all_reduce(self, op: tf.distribute.ReduceOp, values: Sequence[Any]) -> list[Any]:
        """Reduces over all nodes; every node must call it with the same shapes in the same order."""

        def reduce_replica(own: list[Any]) -> list[Any]:
            here = [tf.identity(value) for value in own]  # on this node's device, as the strategy requires
            return list(tf.distribute.get_replica_context().all_reduce(op, here))

        return list(self._cluster.run(reduce_replica, args=(list(values),)))

    def share(self, rows: Rows) -> Rows:
        """Returns this node's part of the rows: the parts of all nodes are disjoint and cover all rows."""
        return rows.share(self.index, self.count)

    def batch_size(self, wanted: int) -> int:
        """Returns the largest batch size up to the wanted one that all nodes can share equally.

        Raises:
            PipelineError: There are more nodes than rows in a batch.
        """
        if wanted < self.count:
            raise PipelineError(
                "There are more nodes than rows in a batch.",
                expected=f"a batch size of at least {self.count}",
                received=wanted,
                action="raise it with --set batch_size=…, or train on fewer nodes (KERASPIPE_NODE_COUNT)",
            )
        return wanted - wanted % self.count

    @contextmanager
    def average_gradients(self, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
        """Has an optimizer apply the mean of all nodes' gradients, which it then scales and clips as usual."""
        original = optimizer.apply

        def apply(grads: Sequence[Any], trainable_variables: Any = None) -> Any:
            return original(self._average(grads), trainable_variables)

        optimizer.apply = apply
        try:
            yield
        finally:
            optimizer.apply = original

    def _average(self, grads: Sequence[Any]) -> list[Any]:
        # Sparse gradients stay sparse and are gathered: Keras' optimizers apply slices, and a vocabulary is large.
        gradients = [gradient for gradient in grads if gradient is not None]
        means = iter(self._mean(gradients))
        return [None if gradient is None else next(means) for gradient in grads]

    def begin(self, model: keras.Model, first: int) -> None:
        """Prepares a model: all nodes begin with the weights of node 0, and each with its own random seed.

        Args:
            model: Compiled and restored from its checkpoint.
            first: Number of finished epochs.

        Raises:
            PipelineError: The nodes did not read the same checkpoint.
        """
        if self.mean([float(first)]) != [float(first)]:
            raise PipelineError(
                "The nodes begin in different epochs.",
                expected="the same checkpoint on all nodes",
                received=f"node {self.index} begins in epoch {first + 1}",
                action="check that all nodes mount the same workspace",
            )
        model.jit_compile = False  # XLA cannot compile an operation that waits for another machine
        weights = _float_variables(model)
        for variable, value in zip(weights, self._sum([self._only_first(v) for v in weights]), strict=True):
            variable.assign(value)
        for variable in model.non_trainable_variables:
            if variable.path.endswith("seed_generator_state"):  # a checkpoint holds those of node 0
                variable.assign_add(keras.ops.full(variable.shape, self.index, variable.dtype))

    def _only_first(self, variable: keras.Variable) -> tf.Tensor:
        value = tf.convert_to_tensor(variable.value)
        return value if self.index == 0 else tf.zeros_like(value)

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns the callbacks that must come before all others."""
        return [SyncEpoch(self)]

    def mean(self, values: Sequence[float]) -> list[float]:
        """Returns the mean of each number over all nodes."""
        (means,) = self._mean([tf.constant(values, tf.float64)])
        return [float(value) for value in means.numpy()]

    def average_weights(self, model: keras.Model) -> None:
        """Gives all nodes the same weights: those that are not trained, such as moving statistics, are averaged.

        A moving mean is linear, so the mean over all nodes is the one that a single process would have.

        Raises:
            PipelineError: Trained weights differ: a custom training step did not use the optimizer.
        """
        variables = _float_variables(model)
        means = self._mean([tf.convert_to_tensor(variable.value) for variable in variables])
        learnt = {id(variable) for variable in model.trainable_variables}
        for variable, mean in zip(variables, means, strict=True):
            if id(variable) in learnt:
                _require_near(variable, mean)
            variable.assign(mean)


def _float_variables(model: keras.Model) -> list[keras.Variable]:
    return [variable for variable in model.variables if keras.backend.is_float_dtype(variable.dtype)]


def _require_near(variable: keras.Variable, mean: tf.Tensor) -> None:
    difference = float(tf.reduce_max(tf.abs(variable.value - mean)))
    if difference > TOLERANCE * max(1.0, float(tf.reduce_max(tf.abs(mean)))):  # the loss reports NaN
        raise PipelineError(
            f"The weights {variable.path} differ between the nodes.",
            expected="the same steps on all nodes, taken by model.optimizer",
            received=f"a difference of {difference:.3g} from their mean",
            action="train this recipe on one machine: KERASPIPE_DISTRIBUTION=auto",
        )


class SyncEpoch(keras.callbacks.Callback):
    """Gives all nodes the same weights and metrics after an epoch, so that they continue, slow down and stop together.

    It must come before all callbacks that read metrics.
    """

    def __init__(self, collective: MultiWorker) -> None:
        super().__init__()
        self.collective = collective

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Averages the weights, before other callbacks read the epoch's metrics."""
        self.collective.average_weights(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Replaces each metric by its mean over all nodes, for the callbacks after this one."""
        if logs:
            names = sorted(logs)
            logs.update(zip(names, self.collective.mean([logs[name] for name in names]), strict=True))


Workers = SingleWorker | MultiWorker
