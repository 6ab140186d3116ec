"""The network of Llama, and of many that followed it: a token after the other, from all tokens before.

    ids ─ embedding ─ blocks x [RMS norm, attention with rotary positions; RMS norm, SwiGLU] ─ RMS norm ─ logits

One code learns and serves: what attention means is a function that a block is given. While it learns, that is attention
within packed rows (`pipeline.language_models.packing`); served, it writes keys and values to a cache and reads all
earlier ones (`pipeline.language_models.cache`).

KerasHub has this network, too (`LlamaBackbone`). Its cache has one index for all rows of a batch: conversations that
began at different times cannot share a step, as a server of several streams needs; and its weights come from a hub.

Sources: H. Touvron et al., LLaMA, arXiv:2302.13971, section 2.2; J. Su et al., RoFormer, arXiv:2104.09864, section
3.2.2 (rotary positions); N. Shazeer, GLU variants improve transformer, arXiv:2002.05202, equation 6; J. Ainslie et
al., GQA, EMNLP 2023; E. Hu et al., LoRA, ICLR 2022, sections 4.1 and 4.2 (on queries and values).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from keras import layers

from pipeline.language_models.packing import Packed

if TYPE_CHECKING:
    from collections.abc import Callable

    Attend = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
    Multiply = Callable[[layers.Dense, tf.Tensor], tf.Tensor]


def multiply(layer: layers.Dense, x: tf.Tensor) -> tf.Tensor:
    """Returns the layer's answer for (tokens, width)."""
    return layer(x)


def multiply_few(layer: layers.Dense, x: tf.Tensor) -> tf.Tensor:
    """Returns the same for two to eight tokens: TensorFlow's product of batches is faster there on a CPU."""
    return tf.matmul(x[None], tf.cast(layer.kernel, x.dtype)[None])[0]


@keras.saving.register_keras_serializable("keraspipe")
class Block(layers.Layer):
    """Attention and SwiGLU, each behind a norm and added to what it got; (tokens, width), unchanged.

    Args:
        width: Numbers of a token.
        heads: Heads of the queries.
        key_heads: Heads of keys and values, a divisor of `heads`.
        hidden: Numbers between the dense layers.
        epsilon: Of the norms.
        lora_rank: Rank of what is learnt of queries and values while their weights stay; 0 learns all weights.
        start: Keras' initializer of the weights; "zeros" for those that are read from a file.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        key_heads: int,
        hidden: int,
        epsilon: float,
        lora_rank: int,
        start: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.options: dict[str, Any] = {"width": width, "heads": heads, "key_heads": key_heads, "hidden": hidden}
        self.options |= {"epsilon": epsilon, "lora_rank": lora_rank, "start": start}
        self.heads, self.key_heads, self.size = heads, key_heads, width // heads
        plain: dict[str, Any] = {"use_bias": False, "kernel_initializer": start}
        learnt = {**plain, "lora_rank": lora_rank or None}
        self.attention_norm = layers.RMSNormalization(epsilon=epsilon, name="attention_norm")
        self.query = layers.Dense(width, **learnt, name="query")
        self.key = layers.Dense(key_heads * self.size, **plain, name="key")
        self.value = layers.Dense(key_heads * self.size, **learnt, name="value")
        self.mix = layers.Dense(width, **plain, name="mix")
        self.dense_norm = layers.RMSNormalization(epsilon=epsilon, name="dense_norm")
        self.gate = layers.Dense(hidden, **plain, name="gate")
        self.wide = layers.Dense(hidden, **plain, name="wide")
        self.narrow = layers.Dense(width, **plain, name="narrow")

    def build(self, shape: Any, *_: Any) -> None:
        """Makes the weights; with LoRA, all but its own are fixed."""
        width, lora = shape[-1], self.options["lora_rank"]
        for layer in (self.attention_norm, self.query, self.key, self.value, self.mix, self.dense_norm):
            layer.build((None, width))
        for layer in (self.gate, self.wide):
            layer.build((None, width))
        self.narrow.build((None, self.options["hidden"]))
        fixed = (self.attention_norm, self.key, self.mix, self.dense_norm, self.gate, self.wide, self.narrow)
        for layer in fixed:
            layer.trainable = not lora
        self.built = True

    def call(
        self, x: tf.Tensor, angles: tuple[tf.Tensor, tf.Tensor], attend: Attend, product: Multiply = multiply
    ) -> tf.Tensor:
        """Returns the next states.

        Args:
            x: States (tokens, width).
            angles: Cosine and sine of the positions, as `turn_angles` returns them.
            attend: (query (tokens, heads, size), key and value (tokens, key heads, size)) -> (tokens, width).
            product: (layer, tokens) -> what the layer answers.
        """
        normal = self.attention_norm(x)
        query = turn(tf.reshape(product(self.query, normal), [-1, self.heads, self.size]), angles)
        key = turn(tf.reshape(product(self.key, normal), [-1, self.key_heads, self.size]), angles)
        value = tf.reshape(product(self.value, normal), [-1, self.key_heads, self.size])
        x += product(self.mix, attend(query, key, value))
        normal = self.dense_norm(x)
        return x + product(self.narrow, tf.nn.silu(product(self.gate, normal)) * product(self.wide, normal))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), **self.options}


@keras.saving.register_keras_serializable("keraspipe")
class Llama(layers.Layer):
    """The whole network.

    Args:
        vocabulary: Number of tokens.
        blocks: Number of blocks.
        base: Of the rotary positions.
        tied: Whether the embedding of the tokens is also that of the answer.
        lora_blocks: How many of the last blocks have LoRA, if any has; None for all. What is before them is faster.
        width: See `Block`, as all others.

    Shapes: ids (batch, length), -1 where no token is -> logits of the next token (batch, length, vocabulary).
    """

    def __init__(
        self,
        vocabulary: int,
        blocks: int,
        width: int,
        heads: int,
        key_heads: int,
        hidden: int,
        base: float = 10000.0,
        epsilon: float = 1e-5,
        tied: bool = True,
        lora_rank: int = 0,
        lora_blocks: int | None = None,
        start: str = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        own: dict[str, Any] = {"width": width, "heads": heads, "key_heads": key_heads, "hidden": hidden}
        own |= {"epsilon": epsilon, "start": start}
        self.options = {**own, "vocabulary": vocabulary, "blocks": blocks, "base": base, "tied": tied}
        self.options |= {"lora_rank": lora_rank, "lora_blocks": lora_blocks}
        fixed = 0 if lora_blocks is None else max(blocks - lora_blocks, 0)  # blocks before those with LoRA
        ranks = [0] * fixed + [lora_rank] * (blocks - fixed)
        self.base, self.width, self.size = base, width, width // heads
        self.key_heads, self.vocabulary = key_heads, vocabulary
        self.words = layers.Embedding(vocabulary, width, name="words", embeddings_initializer=start)
        self.head = None if tied else layers.Embedding(vocabulary, width, name="head", embeddings_initializer=start)
        self.blocks = [Block(**own, lora_rank=rank, name=f"block_{place}") for place, rank in enumerate(ranks)]
        self.norm = layers.RMSNormalization(epsilon=epsilon, name="norm")

    def build(self, *_: Any) -> None:
        """Makes the weights."""
        tables = [self.words] if self.head is None else [self.words, self.head]
        for table in tables:
            table.build((None,))
        for layer in (*self.blocks, self.norm):
            layer.build((None, self.width))
        if self.options["lora_rank"]:
            for layer in (*tables, self.norm, *(block for block in self.blocks if not block.options["lora_rank"])):
                layer.trainable = False
        self.built = True

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the logits of the token after each one, 0 where no token is."""
        packed = Packed.from_ids(ids)
        logits = self.logits(self.states(packed.pack(ids), packed.position, lambda _: packed.attend))
        shape = tf.concat([tf.size(ids)[None], [self.vocabulary]], 0)
        flat = tf.scatter_nd(tf.cast(packed.index, tf.int32)[:, None], logits, shape)
        return tf.reshape(flat, [tf.shape(ids)[0], -1, self.vocabulary])

    def states(
        self,
        tokens: tf.Tensor,
        positions: tf.Tensor,
        attend: Callable[[int], Attend],
        product: Multiply = multiply,
    ) -> tf.Tensor:
        """Returns the state behind each token.

        Args:
            tokens: Ids (tokens,).
            positions: How many tokens come before each one, (tokens,).
            attend: Number of a block -> what attention is there.
            product: See `Block`.

        Returns:
            (tokens, width)
        """
        angles = turn_angles(positions, self.size, self.base)
        x = self.words(tokens)
        for number, block in enumerate(self.blocks):
            x = block(x, angles=angles, attend=attend(number), product=product)
        return self.norm(x)

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        """Returns (tokens, vocabulary) of (tokens, width)."""
        table = self.words if self.head is None else self.head
        return tf.matmul(states, tf.cast(table.embeddings, states.dtype), transpose_b=True)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), **self.options}


def turn_angles(positions: tf.Tensor, size: int, base: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns cosine and sine of the angles by which positions (tokens,) turn pairs of numbers, (tokens, 1, size / 2).

    Source: RoFormer, equation 15.
    """
    speed = base ** (-tf.range(0, size, 2, tf.float32) / size)
    angle = tf.cast(positions, tf.float32)[:, None, None] * speed
    return tf.cos(angle), tf.sin(angle)


def turn(x: tf.Tensor, angles: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Turns each pair (i, i + size / 2) of the numbers of x (tokens, heads, size) by its angle."""
    cosine, sine = (tf.cast(part, x.dtype) for part in angles)
    first, second = tf.split(x, 2, axis=-1)
    return tf.concat([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


def merge_lora(network: Llama) -> None:
    """Adds what LoRA has learnt to the weights, so that a served token costs nothing more (LoRA, section 4.1)."""
    for block in network.blocks:
        for layer in (block.query, block.value):
            if layer.lora_enabled:
                layer._kernel.assign(layer.kernel)  # noqa: SLF001  (the weights without LoRA have no other name)
                layer.lora_kernel_b.assign(tf.zeros_like(layer.lora_kernel_b))
                layer.lora_enabled = False  # else the sum would be computed for each token
