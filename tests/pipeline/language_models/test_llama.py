"""The network, its costs, LoRA, and what it writes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.language_models.costs import NOT_COUNTED, AnswerCosts, mean_cost
from pipeline.language_models.generate import Continuation, choose_by_seed, choose_likeliest, map_parts
from pipeline.language_models.llama import Llama, merge_lora, turn, turn_angles

VOCABULARY = 97  # as in conftest.py
SIZES = {"vocabulary": VOCABULARY, "blocks": 2, "width": 48, "heads": 6, "key_heads": 2, "hidden": 64}


@pytest.fixture
def ids():
    return np.random.default_rng(2).integers(0, VOCABULARY, (3, 8))


def test_rows_stand_alone_wherever_their_tokens_are(network, ids):
    expected = network(ids).numpy()
    sparse = np.full((3, 12), -1)
    columns = [0, 1, 3, 4, 5, 8, 9, 11]
    sparse[:, columns] = ids
    found = network(sparse).numpy()
    np.testing.assert_allclose(expected, found[:, columns], atol=1e-5)
    assert not found[:, [2, 6, 7, 10]].any()
    np.testing.assert_allclose(expected[1:2], network(ids[1:2]).numpy(), atol=1e-5)


def test_a_token_does_not_see_later_ones(network, ids):
    changed = ids.copy()
    changed[:, 5:] = 1
    np.testing.assert_allclose(network(ids).numpy()[:, :5], network(changed).numpy()[:, :5], atol=1e-5)


def test_attention_by_turned_pairs_depends_on_the_distance_only():
    query, key = np.random.default_rng(4).normal(size=(2, 1, 1, 8)).astype(np.float32)

    def product(first, second):
        turned = (
            turn(tf.constant(x), turn_angles(tf.constant([at]), 8, 1e4)) for x, at in ((query, first), (key, second))
        )
        return float(tf.reduce_sum(tf.multiply(*turned)))

    assert product(7, 3) == pytest.approx(product(104, 100), abs=1e-4)
    assert product(7, 3) != pytest.approx(product(7, 4), abs=1e-2)


@pytest.fixture
def tuned():
    keras.utils.set_random_seed(2)
    network = Llama(**SIZES, lora_rank=3)
    network.build()
    for variable in network.trainable_variables:
        variable.assign(keras.random.normal(variable.shape, stddev=0.3))
    return network


def test_lora_alone_is_learnt(tuned):
    assert {"lora_kernel_a", "lora_kernel_b"} == {variable.name for variable in tuned.trainable_variables}
    assert 2 * 2 * 2 == len(tuned.trainable_variables)


def test_lora_of_the_last_blocks_leaves_the_others(ids):
    network = Llama(**SIZES, lora_rank=3, lora_blocks=1)
    network.build()
    assert {f"lora_kernel_{part}" for part in "ab"} == {variable.name for variable in network.trainable_variables}
    assert 4 == len(network.trainable_variables) == len(network.blocks[1].trainable_variables)
    merge_lora(network)
    assert (3, 8, VOCABULARY) == network(ids).shape


def test_merged_weights_give_the_same_logits(tuned, ids):
    expected = tuned(ids).numpy()
    merge_lora(tuned)
    np.testing.assert_allclose(expected, tuned(ids).numpy(), atol=1e-4)
    merge_lora(tuned)  # again: nothing more
    np.testing.assert_allclose(expected, tuned(ids).numpy(), atol=1e-4)


def test_costs_are_those_of_the_answer(network, ids):
    prompt, answer = np.full((2, 6), -1), np.full((2, 5), -1)
    prompt[0, :3], prompt[1] = ids[0, :3], ids[1, :6]
    answer[0, :4], answer[1, :2] = ids[0, 3:7], ids[1, 6:]
    costs = AnswerCosts(network)({"prompt": tf.constant(prompt), "answer": tf.constant(answer)}).numpy()
    logs = tf.nn.log_softmax(network(ids)).numpy()
    expected = np.full((2, 5), NOT_COUNTED)
    expected[0, :4] = [-logs[0, place - 1, ids[0, place]] for place in range(3, 7)]
    expected[1, :2] = [-logs[1, place - 1, ids[1, place]] for place in (6, 7)]
    np.testing.assert_allclose(expected, costs, atol=1e-5)
    assert float(mean_cost(answer, costs)) == pytest.approx(expected[expected != NOT_COUNTED].mean(), abs=1e-5)


def test_in_training_most_answers_end_after_a_token(network, ids):
    features = {"prompt": tf.constant(ids[:, :3]), "answer": tf.constant(np.tile([[5, 9, 7, 7]], (3, 1)))}
    costs = AnswerCosts(network, full_rows=3, cut_after=9)
    assert [4, 2, 2] == (costs(features, training=True).numpy() != NOT_COUNTED).sum(axis=1).tolist()
    assert [4, 4, 4] == (costs(features, training=False).numpy() != NOT_COUNTED).sum(axis=1).tolist()


def test_half_precision_learns_and_serves(ids):
    from pipeline.language_models.cache import SlotCache
    from pipeline.language_models.signatures import step_endpoints

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = Llama(**SIZES, lora_rank=2)
        network.build()
        costs = AnswerCosts(network)({"prompt": tf.constant(ids[:, :3]), "answer": tf.constant(ids[:, 3:])})
        assert tf.float32 == costs.dtype
        cache = SlotCache(2, 4, 2, 32, 8)
        cache._initialize()
        endpoints = step_endpoints(network, cache)
        logits = endpoints["prefill"][0](tf.constant(ids[0, :5], tf.int32), tf.constant(1), tf.constant(0))["logits"]
        np.testing.assert_allclose(network(ids[:1, :5]).numpy()[0, -1], logits, atol=0.05)
        place, active = tf.fill([4], 5), tf.constant([True, True, False, False])
        steps = endpoints["decode"][0](tf.fill([4], int(ids[0, 5])), place, active)["logits"]
        np.testing.assert_allclose(network(ids[:1, :6]).numpy()[0, -1], steps[1], atol=0.05)
        write = Continuation(network, ()).write
        assert (3, 4) == write(tf.constant(ids, tf.int32), tf.fill([3], 4), choose_likeliest).shape
    finally:
        keras.config.set_dtype_policy("float32")


def continue_greedily(network, prompt, length):
    row = list(prompt)
    for _ in range(length):
        row.append(int(network(np.array([row])).numpy()[0, -1].argmax()))
    return row[len(prompt) :]


@pytest.mark.heavy
def test_it_writes_what_is_likeliest_step_by_step(network, ids):
    prompts = np.full((3, 8), -1, np.int32)
    for row, size in enumerate((8, 2, 5)):
        prompts[row, :size] = ids[row, :size]
    length = np.array([6, 0, 4], np.int32)
    truth = [continue_greedily(network, row[row >= 0], count) for row, count in zip(prompts, length, strict=True)]
    end = truth[0][4]  # the first row ends by itself
    found = tf.function(Continuation(network, (end,)).write)(prompts, length, choose_likeliest).numpy()
    for expected, row in zip(truth, found, strict=True):
        stop = expected.index(end) if end in expected else len(expected)
        assert [*expected[:stop], *[-1] * (found.shape[1] - stop)] == row.tolist()


@pytest.mark.heavy
def test_a_seed_gives_the_same_text_in_any_batch(network, ids):
    continuation = Continuation(network, ())
    prompts, length = tf.constant(ids[:, :4], tf.int32), tf.fill([3], 12)
    seed, warm = tf.constant([5, 6, 5], tf.int64), tf.constant([1.0, 1.0, 0.0])
    rows = continuation.write(prompts, length, choose_by_seed(seed, warm)).numpy()
    alone = continuation.write(prompts[1:2], length[1:2], choose_by_seed(seed[1:2], warm[1:2])).numpy()
    assert rows[1].tolist() == alone[0].tolist()
    assert continue_greedily(network, ids[2, :4], 12) == rows[2].tolist()
    other = continuation.write(prompts[1:2], length[1:2], choose_by_seed(seed[:1], warm[1:2])).numpy()
    assert rows[1].tolist() != other[0].tolist()


@pytest.mark.parametrize("rows", [0, 1, 4, 5])
def test_parts_together_are_the_whole(rows):
    text = tf.constant([f"{row}".encode() for row in range(rows)], tf.string)
    assert [f"{row}!".encode() for row in range(rows)] == map_parts(
        lambda part: tf.strings.join([part, "!"]), text, together=2
    ).numpy().tolist()
