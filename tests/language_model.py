"""A small language model made with plain TensorFlow; run by the fixture `languages`."""

from __future__ import annotations

import json

import numpy as np

CONTEXT, SLOTS, WIDTH, VOCABULARY = 512, 4, 16, 256
START, END = 1, 2  # bytes that no text has, for <|im_start|> and <|im_end|>
CORPUS = "the quick brown fox drinks a café crème, naïve and brave; 日本 is far. she said: über alles? no, só. " * 3
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def _bigrams():
    """Logits of the next byte by the last one: a few bytes may follow each, in UTF-8."""
    counts = np.full((VOCABULARY, VOCABULARY), 1e-6, np.float32)
    content = CORPUS.encode()
    np.add.at(counts, (list(content), [*content[1:], content[0]]), 1.0)
    counts[ord("."), END] += 1.0
    counts[:, ord("t")] += 1e-4
    return np.log(counts / counts.sum(-1, keepdims=True)).astype(np.float32)


def _cache(tf, context):
    """Keys and values, (2, slots, context, width): a resource that no checkpoint holds."""
    shape = (2, SLOTS, context, WIDTH)

    class Cache(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=shape, shared_name="cache")

        def _initialize(self):
            tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=tf.zeros(shape))

        def read(self):
            return tf.ensure_shape(tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=tf.float32), shape)

        def write(self, slots, positions, values):
            """Rows of (2, width) at slots and positions."""
            for side in (0, 1):
                indices = tf.stack([tf.fill(tf.shape(slots), side), slots, positions], -1)
                tf.raw_ops.ResourceScatterNdUpdate(ref=self.resource_handle, indices=indices, updates=values[:, side])

    return Cache()


def language_model(tf, context=CONTEXT, pause=0):
    """Module and signatures: a bigram of bytes, shifted a little by attention over all that came before."""
    weights = np.random.default_rng(7).normal(size=(4, WIDTH, WIDTH)).astype(np.float32) / WIDTH
    table = np.random.default_rng(8).normal(size=(VOCABULARY, WIDTH)).astype(np.float32)
    bigrams = _bigrams()

    class Language(tf.Module):
        def __init__(self):
            super().__init__()
            self.cache = _cache(tf, context)

        def logits(self, tokens, slots, positions):
            """(rows, vocabulary) after each token, whose keys and values are in the cache."""
            vectors = tf.gather(table, tokens)
            keys, values = tf.unstack(tf.gather(self.cache.read(), slots, axis=1))
            scores = tf.einsum("rw,rcw->rc", vectors @ weights[0], keys) / WIDTH**0.5
            reach = tf.range(context)[None] <= positions[:, None]
            mixed = tf.einsum("rc,rcw->rw", tf.nn.softmax(tf.where(reach, scores, -1e9)), values)
            return tf.gather(bigrams, tokens) + 6.0 * (mixed @ weights[3]) @ table.T

        def pairs(self, tokens):
            vectors = tf.gather(table, tokens)
            return tf.stack([vectors @ weights[1], vectors @ weights[2]], 1)

        @tf.function(
            input_signature=[
                tf.TensorSpec(shape, tf.int32, name)
                for shape, name in (([None], "tokens"), ([], "slot"), ([], "position"))
            ]
        )
        def prefill(self, tokens, slot, position):
            positions = position + tf.range(tf.size(tokens))
            slots = tf.fill(tf.shape(tokens), slot)
            self.cache.write(slots, positions, self.pairs(tokens))
            return {"logits": self.logits(tokens[-1:], slots[-1:], positions[-1:])[0]}

        @tf.function(
            input_signature=[
                tf.TensorSpec([SLOTS], kind, name)
                for kind, name in ((tf.int32, "tokens"), (tf.int32, "positions"), (tf.bool, "active"))
            ]
        )
        def decode(self, tokens, positions, active):
            slots = tf.boolean_mask(tf.range(SLOTS), active)
            written = tf.boolean_mask(positions, active)
            self.cache.write(slots, written, tf.boolean_mask(self.pairs(tokens), active))
            wait = tf.while_loop(
                lambda i, _: i < pause, lambda i, s: (i + 1, tf.tanh(s)), (0, 0.0), parallel_iterations=1
            )[1]
            return {"logits": self.logits(tokens, tf.range(SLOTS), positions) + 0.0 * wait}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def tokenize(self, text):
            for token, byte in (("<|im_start|>", START), ("<|im_end|>", END)):
                text = tf.strings.regex_replace(text, token.replace("|", r"\|"), chr(byte))
            longest = tf.reduce_max(tf.strings.length(text))
            columns = tf.range(longest)
            inside = columns[None] < tf.strings.length(text)[:, None]
            padded = tf.strings.join([text, tf.fill(tf.shape(text), tf.strings.reduce_join(tf.fill([longest], " ")))])
            padded = tf.strings.substr(padded, 0, longest)
            codes = tf.reshape(tf.cast(tf.io.decode_raw(padded, tf.uint8), tf.int32), [tf.size(text), longest])
            return {"tokens": tf.where(inside, codes, -1)}

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, name="tokens")])
        def detokenize(self, tokens):
            parts = tf.where(tokens < 0, "", tf.gather([bytes([value]) for value in range(256)], tf.maximum(tokens, 0)))
            return {"text": tf.strings.reduce_join(parts, -1)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def embed(self, text):
            tokens = self.tokenize(text)["tokens"]
            held = tf.cast(tokens >= 0, tf.float32)[..., None]
            return {"embedding": tf.reduce_sum(tf.gather(table, tf.maximum(tokens, 0)) * held, 1)}

    module = Language()
    names = ("prefill", "decode", "tokenize", "detokenize", "embed")
    return module, {name: getattr(module, name) for name in names}


def save_language_model(path, **options):
    """Writes a version."""
    import tensorflow as tf

    module, signatures = language_model(tf, **options)
    tf.saved_model.save(module, str(path), signatures=signatures)
    described = {
        "context": options.get("context", CONTEXT),
        "slots": SLOTS,
        "end": [END],
        "vocabulary": VOCABULARY,
        "chat_template": TEMPLATE,
        "bos_token": "",
        "eos_token": "<|im_end|>",
        "model": "bigrams of bytes",
    }
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / "language_model.json").write_text(json.dumps(described))
