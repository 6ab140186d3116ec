"""The network of shakespeare: characters one by one, texts longer than its context, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import shakespeare
from pipeline.generation.cache import empty_cache
from pipeline.recipe import Spec

pytestmark = pytest.mark.heavy

P = shakespeare.Params(context=16, blocks=2, width=32, heads=2)
TEXT = b"First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n"


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return shakespeare.build(P, Spec({}, (), 100))


@pytest.fixture(scope="module")
def served(model):
    signatures = shakespeare.signatures(
        SimpleNamespace(
            model=model,
            features=lambda raw: shakespeare.preprocess(raw, P),
            outputs=lambda features: shakespeare.outputs(model, features),
        )
    )
    return {name: (tf.function(function), specs) for name, (function, specs) in signatures.items()}


def ask(served, *prompts, seed=1, temperature=0.8, length=40):
    function, specs = served["serving_default"]
    rows = len(prompts)
    given = np.array(prompts, object), np.resize(seed, rows), np.resize(temperature, rows), np.resize(length, rows)
    return function(*(tf.constant(each, spec.dtype) for each, spec in zip(given, specs, strict=True)))["text"].numpy()


def test_steps_with_a_ring_are_the_network_also_past_its_context(model):
    network = model.get_layer("gpt")
    ids = np.frombuffer(TEXT, np.uint8)[None].astype(np.int64)
    expected = model({"ids": ids}, training=False).numpy()[0]
    caches = [empty_cache(1, P.context, block.heads, block.size) for block in network.blocks]
    costs = []
    for place in range(len(TEXT) - 1):
        logits, caches = network.step(tf.constant(ids[:, place], tf.int32), tf.constant(place), caches)
        costs.append(-tf.nn.log_softmax(logits)[0, ids[0, place + 1]].numpy())
    np.testing.assert_allclose(expected, costs, atol=1e-4)


def test_the_ring_forgets_what_is_older_than_the_context(model):
    network = model.get_layer("gpt")

    step = tf.function(network.step)

    def logits_after(text):
        caches = [empty_cache(1, P.context, block.heads, block.size) for block in network.blocks]
        for place, letter in enumerate(text):
            logits, caches = step(tf.constant([letter]), tf.constant(place), caches)
        return logits.numpy()

    reach = P.blocks * (P.context - 1)  # each block looks as far back once more
    assert len(TEXT) > reach + 2
    np.testing.assert_allclose(logits_after(b"xx" + TEXT), logits_after(b"yz" + TEXT), atol=1e-6)
    assert not np.allclose(logits_after(TEXT[:-2] + b"xx"), logits_after(TEXT[:-2] + b"yx"), atol=1e-3)


def test_an_answer_is_text_of_so_many_characters_at_most_and_the_same_for_the_same_seed(served):
    first = ask(served, b"ROMEO:\n", length=40)
    assert 0 < len(first[0].decode()) <= 40  # an untrained network also writes bytes that are no text
    assert first == ask(served, b"ROMEO:\n", length=40)
    assert first != ask(served, b"ROMEO:\n", length=40, seed=2)


def test_rows_do_not_know_of_each_other(served):
    prompts = b"ROMEO:\n", b"", b"O", TEXT
    together = ask(served, *prompts)
    assert [ask(served, prompt)[0] for prompt in prompts] == together.tolist()


def test_an_empty_prompt_and_a_length_of_nothing_are_answered(served):
    assert 0 < len(ask(served, b"")[0].decode()) <= 40
    assert b"" == ask(served, b"ROMEO:\n", length=0)[0]


def test_a_temperature_of_zero_takes_the_likeliest_character(served):
    first, second = ask(served, b"ROMEO:\n", b"ROMEO:\n", seed=[1, 2], temperature=0.0)
    assert first == second


@pytest.mark.parametrize(
    ("prompt", "more", "words"),
    [
        (b"a" * 1025, {}, "prompt has at most 1024 bytes"),
        (b"a\x00b", {}, "prompt has no zero bytes"),
        (b"a", {"length": -1}, "length is from 0 to 1024"),
        (b"a", {"length": 1025}, "length is from 0 to 1024"),
        (b"a", {"temperature": -0.1}, "temperature is 0 or more"),
        (b"a", {"temperature": float("nan")}, "temperature is 0 or more"),
    ],
)
def test_what_cannot_be_answered_is_said(served, prompt, more, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        ask(served, prompt, **more)


def test_the_loss_of_a_text_is_that_of_its_characters(served, model):
    function, _ = served["score"]
    answer = function(tf.constant([TEXT[:16], b"", TEXT[:5], b"a"]))
    assert [0.0, 0.0] == tf.gather(answer["loss"], [1, 3]).numpy().tolist()
    ids = np.frombuffer(TEXT[:16], np.uint8)[None].astype(np.int64)
    costs = model({"ids": ids}, training=False).numpy()[0]
    np.testing.assert_allclose([costs.mean(), costs[:4].mean()], tf.gather(answer["loss"], [0, 2]), rtol=1e-4)
    np.testing.assert_allclose(np.exp(costs.mean()), answer["perplexity"][0], rtol=1e-4)


def test_a_text_that_is_too_long_for_a_loss_is_refused(served):
    function, _ = served["score"]
    assert 0 < function(tf.constant([b"a" * 513]))["loss"][0]
    with pytest.raises(tf.errors.InvalidArgumentError, match="text has at most 513 bytes"):
        function(tf.constant([b"a", b"a" * 514]))


def test_crops_of_a_pair_are_at_the_same_place():
    ids = tf.reshape(tf.range(3 * 513), [3, 513])
    crop, target = shakespeare.Crop(17)(({"ids": ids}, ids), training=True)
    np.testing.assert_array_equal(crop["ids"], target)
    assert (3, 17) == target.shape
    np.testing.assert_array_equal(target[:, :1] + np.arange(17), target)
