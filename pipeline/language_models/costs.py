"""What the tokens of an answer cost a language model: minus the log of their probabilities, in nats.

Only answers count, not the prompts (E. Hu et al., LoRA, ICLR 2022, equation 1).
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from pipeline.language_models.llama import Llama
from pipeline.language_models.packing import NOTHING, Packed

NOT_COUNTED = -1.0  # stands for the cost of a token that is not there
TOGETHER = 1024  # tokens whose logits are in memory at a time, where no gradient needs them
MOST_ROWS, MOST_PAIRS = (
    64,
    2**20,
)  # rows, and pairs of their tokens, that attend at a time, where no gradient needs them


@keras.saving.register_keras_serializable("keraspipe")
class AnswerCosts(layers.Layer):
    """Maps prompts and answers to the cost of each token of the answer.

    Args:
        network: The language model, built; or its configuration.
        full_rows: In training, one row in so many has its whole answer, the others up to `cut_after`.
        cut_after: Id of a token.

    Shapes: {"prompt": (batch, tokens), "answer": (batch, tokens)} of ids, -1 where none is -> (batch, tokens of the
    answer) of float32, `NOT_COUNTED` where none is.
    """

    def __init__(self, network: Any, full_rows: int = 1, cut_after: int = NOTHING, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network: Llama = network if isinstance(network, Llama) else keras.saving.deserialize_keras_object(network)
        self.full_rows, self.cut_after = full_rows, cut_after

    def build(self, shapes: Any) -> None:  # noqa: ARG002  (Keras passes them)
        """Makes the weights."""
        if not self.network.built:
            self.network.build()
        self.built = True

    def call(self, features: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the cost of each token."""
        prompt, answer = features["prompt"], features["answer"]
        if training:
            return self._cost_rows(prompt, self._cut(answer) if self.full_rows > 1 else answer, training=True)
        return self._cost_parts(prompt, answer)

    def _cost_parts(self, prompt: tf.Tensor, answer: tf.Tensor) -> tf.Tensor:
        """Returns the costs of some rows after the other: a batch of long rows would not fit into memory."""
        sizes = tf.reduce_sum(tf.cast(tf.concat([prompt, answer], axis=1) != NOTHING, tf.int64), axis=1)
        longest = tf.reduce_max(tf.concat([sizes, [1]], 0))
        together = tf.cast(tf.clip_by_value(MOST_PAIRS // longest**2, 1, MOST_ROWS), tf.int32)

        def advance(at: tf.Tensor, costs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = slice(at, at + together)
            return at + together, tf.concat([costs, self._cost_rows(prompt[rows], answer[rows], training=False)], 0)

        costs = tf.while_loop(
            lambda at, _: at < tf.shape(prompt)[0],
            advance,
            (tf.constant(0), tf.zeros([0, tf.shape(answer)[1]])),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, answer.shape[1]])),
            parallel_iterations=1,
        )[1]
        return tf.ensure_shape(costs, answer.shape)

    def _cost_rows(self, prompt: tf.Tensor, answer: tf.Tensor, *, training: bool) -> tf.Tensor:
        ids = tf.concat([prompt, answer], axis=1)
        packed, width = Packed.from_ids(ids), tf.shape(ids, tf.int64)[1]
        tokens = packed.pack(ids)
        states = self.network.states(tokens, packed.position, lambda _: packed.attend)
        column = packed.index % width - tf.shape(prompt, tf.int64)[1]
        places = tf.where(column >= 0)[:, 0]
        before = tf.gather(states, tf.maximum(places - 1, 0))  # the token before, of the same row: no prompt is empty
        costs = self._cost(before, tf.gather(tokens, places), training=training)
        cells = tf.stack([tf.cast(packed.row, tf.int64), column], axis=1)
        blank = tf.fill(tf.shape(answer), NOT_COUNTED)
        return tf.ensure_shape(tf.tensor_scatter_nd_update(blank, tf.gather(cells, places), costs), answer.shape)

    def _cut(self, answer: tf.Tensor) -> tf.Tensor:
        late = tf.cumsum(tf.cast(answer == self.cut_after, tf.int32), axis=1, exclusive=True) > 0
        short = tf.range(tf.shape(answer)[0])[:, None] % self.full_rows > 0
        return tf.where(late & short, tf.cast(NOTHING, answer.dtype), answer)

    def _cost(self, states: tf.Tensor, tokens: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Returns the cost of tokens (tokens,) from the states before them (tokens, width)."""

        def cost(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            logits = tf.cast(self.network.logits(pair[0]), tf.float32)
            return tf.nn.sparse_softmax_cross_entropy_with_logits(pair[1], logits)

        if training:
            return cost((states, tokens))
        count = tf.size(tokens)
        filled = tf.minimum(tf.range(-(-count // TOGETHER) * TOGETHER), tf.maximum(count - 1, 0))
        parts = tf.reshape(tf.gather(states, filled), [-1, TOGETHER, states.shape[1]])
        pair = parts, tf.reshape(tf.gather(tokens, filled), [-1, TOGETHER])
        spec = tf.TensorSpec([TOGETHER], tf.float32)
        return tf.reshape(tf.map_fn(cost, pair, fn_output_signature=spec, parallel_iterations=1), [-1])[:count]

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "full_rows": self.full_rows, "cut_after": self.cut_after}


@keras.saving.register_keras_serializable("keraspipe")
def mean_cost(answer: tf.Tensor, costs: tf.Tensor) -> tf.Tensor:  # noqa: ARG001  (the costs know the answer)
    """Returns the mean cost of the tokens that count: both (batch, tokens)."""
    counted = tf.cast(costs != NOT_COUNTED, costs.dtype)
    return tf.reduce_sum(costs * counted) / tf.maximum(tf.reduce_sum(counted), 1.0)


def mean_loss(costs: AnswerCosts, prompt: tf.Tensor, answer: tf.Tensor) -> tf.Tensor:
    """Returns the mean cost of a token of each answer, (batch,).

    Args:
        costs: What knows the costs.
        prompt: Ids (batch, tokens), `NOTHING` behind the last one.
        answer: The same.
    """
    each = costs({"prompt": prompt, "answer": answer}, training=False)
    counted = tf.cast(each != NOT_COUNTED, tf.float32)
    return tf.reduce_sum(each * counted, axis=1) / tf.maximum(tf.reduce_sum(counted, axis=1), 1.0)
