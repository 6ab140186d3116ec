"""What a server asks of a language model: tokens of a text, logits of the next token, a text to the end.

`prefill` and `decode` share a cache of several conversations in the graph; one thread at a time calls them. A server
that knows how begins a conversation in a free slot with `prefill`, and takes all of them a token further by one
`decode`. Any other client asks `generate`, which keeps nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from pipeline.language_models.generate import Continuation, choose_by_seed, map_parts
from pipeline.language_models.llama import multiply, multiply_few

if TYPE_CHECKING:
    from pipeline.language_models.byte_pairs import BytePairs
    from pipeline.language_models.cache import SlotCache
    from pipeline.language_models.llama import Llama, Multiply

FEW = 8  # tokens up to which `multiply_few` is faster
DESCRIPTION_FILE = "language_model.json"  # in assets.extra of a version


@dataclass(frozen=True)
class Description:
    """What a server has to know of a language model; `language_model.json` of the version.

    Attributes:
        model: What it is, for people.
        vocabulary: Number of tokens.
        context: Tokens of a conversation at most.
        slots: Conversations at a time.
        end: Ids of which each ends an answer.
        chat_template: Jinja2 text that makes a prompt of `messages`, `add_generation_prompt`, `bos_token` and
            `eos_token`, as Hugging Face's; empty if the model knows no chat.
        bos_token: Text of the token that begins a conversation; may be empty.
        eos_token: Text of the token that ends an answer.
        special: Texts of special tokens. A server puts `BREAK` into those that a message contains, and the model's
            vocabulary has `breaks`; empty where it has not.
    """

    model: str
    vocabulary: int
    context: int
    slots: int
    end: tuple[int, ...]
    chat_template: str
    bos_token: str
    eos_token: str
    special: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Returns the content of the file."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def step_endpoints(network: Llama, cache: SlotCache) -> dict[str, tuple[Any, list[tf.TensorSpec]]]:
    """Returns `prefill` and `decode`."""

    def prefill(tokens: tf.Tensor, slot: tf.Tensor, position: tf.Tensor) -> dict[str, tf.Tensor]:
        positions = position + tf.range(tf.size(tokens))
        states = network.states(tokens, positions, cache.at(slot[None], positions[None]))
        return {"logits": tf.cast(network.logits(states[-1:])[0], tf.float32)}

    def decode(tokens: tf.Tensor, positions: tf.Tensor, active: tf.Tensor) -> dict[str, tf.Tensor]:
        slots = tf.cast(tf.where(active), tf.int32)  # only these are computed: one costs as one, not as all
        own, places = tf.gather_nd(tokens, slots), tf.gather_nd(positions, slots)

        def step(product: Multiply) -> tf.Tensor:
            states = network.states(own, places, cache.at(slots[:, 0], places[:, None]), product)
            logits = tf.cast(network.logits(states), tf.float32)
            return tf.scatter_nd(slots, logits, [cache.slots, network.vocabulary])

        few = (tf.size(own) > 1) & (tf.size(own) <= FEW)
        return {"logits": tf.cond(few, lambda: step(multiply_few), lambda: step(multiply))}

    def numbers(shape: list[int | None], *names: str) -> list[tf.TensorSpec]:
        return [tf.TensorSpec(shape, tf.int32, name) for name in names]

    active = tf.TensorSpec([cache.slots], tf.bool, "active")
    return {
        "prefill": (prefill, [*numbers([None], "tokens"), *numbers([], "slot", "position")]),
        "decode": (decode, [*numbers([cache.slots], "tokens", "positions"), active]),
    }


def text_endpoints(network: Llama, pairs: BytePairs, model: Description) -> dict[str, tuple[Any, list[tf.TensorSpec]]]:
    """Returns `tokenize`, `detokenize` and `generate`."""
    continuation = Continuation(network, model.end)

    def tokenize(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"tokens": pairs.encode(text).to_tensor(-1)}

    def detokenize(tokens: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"text": pairs.decode_bytes(tokens)}

    def write(prompt: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        prompts = pairs.encode(prompt).to_tensor(-1)
        check = _check_lengths(prompts, length, model.context)
        with tf.control_dependencies(check):
            return pairs.decode(continuation.write(prompts, length, choose_by_seed(seed, temperature)))

    def generate(*rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"text": map_parts(write, *rows, together=8)}  # prompts may be as long as the context

    kinds = {"prompt": tf.string, "seed": tf.int64, "temperature": tf.float32, "length": tf.int32}
    return {
        "tokenize": (tokenize, [tf.TensorSpec([None], tf.string, "text")]),
        "detokenize": (detokenize, [tf.TensorSpec([None, None], tf.int32, "tokens")]),
        "generate": (generate, [tf.TensorSpec([None], kind, name) for name, kind in kinds.items()]),
    }


def _check_lengths(prompts: tf.Tensor, length: tf.Tensor, context: int) -> list[tf.Operation]:
    """Returns checks that each prompt has a token, and room for its answer."""
    sizes = tf.reduce_sum(tf.cast(prompts >= 0, tf.int32), axis=1)
    fits = tf.reduce_all((sizes > 0) & (length >= 0) & (sizes + length <= context))
    message = f"Expected: a prompt of at least one token, a length of at least 0, together at most {context}. Received:"
    check = tf.debugging.Assert(fits, [message, "prompts of", sizes, "tokens, lengths", length], summarize=8)
    return [] if check is None else [check]  # None: eagerly it has been raised
