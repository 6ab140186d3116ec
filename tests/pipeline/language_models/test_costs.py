"""The cost of answers: the same in parts as at once, and as the logits say."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipeline.language_models import costs as module
from pipeline.language_models.costs import NOT_COUNTED, AnswerCosts, mean_loss


@pytest.fixture(scope="module")
def rows():
    """Prompts and answers of several lengths, -1 behind the last token."""
    random = np.random.default_rng(4)
    prompt, answer = random.integers(0, 97, (7, 9)), random.integers(0, 97, (7, 5))
    for row in range(7):
        prompt[row, 1 + row :] = -1
        answer[row, 5 - row % 5 :] = -1
    return {"prompt": prompt, "answer": answer}


def test_costs_are_those_of_the_logits(network, rows):
    found = AnswerCosts(network)(rows, training=False).numpy()
    for prompt, answer, cost in zip(rows["prompt"], rows["answer"], found, strict=True):
        ids = np.concatenate([prompt[prompt >= 0], answer[answer >= 0]])
        logits = network(ids[None]).numpy()[0].astype(np.float64)
        nats = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, np.roll(ids, -1)[:, None], 1)[:, 0]
        count = (answer >= 0).sum()
        np.testing.assert_allclose(nats[(prompt >= 0).sum() - 1 :][:count], cost[:count], atol=1e-4)
        assert np.all(cost[count:] == NOT_COUNTED)


@pytest.mark.heavy
@pytest.mark.parametrize("pairs", [1, 200, 2**20])
def test_parts_cost_what_the_whole_costs(network, rows, monkeypatch, pairs):
    monkeypatch.setattr(module, "MOST_PAIRS", pairs)
    layer = AnswerCosts(network)
    whole = layer(rows, training=True).numpy()
    np.testing.assert_allclose(whole, layer(rows, training=False).numpy(), atol=1e-5)
    graph = tf.function(lambda some: layer(some, training=False))
    np.testing.assert_allclose(
        whole, graph({name: tf.constant(part) for name, part in rows.items()}).numpy(), atol=1e-5
    )


def test_the_loss_of_a_row_is_the_mean_of_its_tokens(network, rows):
    layer = AnswerCosts(network)
    each = layer(rows, training=False).numpy()
    means = [row[row != NOT_COUNTED].mean() for row in each]
    np.testing.assert_allclose(means, mean_loss(layer, **rows).numpy(), atol=1e-6)


def test_no_rows_cost_nothing(network):
    empty = np.zeros((0, 3), np.int64)
    assert (0, 3) == AnswerCosts(network)({"prompt": empty, "answer": empty}, training=False).shape
