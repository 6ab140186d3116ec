"""Served a token at a time, with a cache that conversations share, the network answers as it does at once."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.heavy
VOCABULARY, SLOTS, CONTEXT = 97, 4, 32  # as in conftest.py
LENGTHS = (9, 6, 3)
ORDER = (2, 0, 3)  # slot of each conversation


@pytest.fixture(scope="module")
def texts():
    generator = np.random.default_rng(5)
    return [generator.integers(0, VOCABULARY, length).astype(np.int32) for length in LENGTHS]


@pytest.fixture(scope="module")
def truth(network, texts):
    """Logits behind each token of each text."""
    ids = np.full((len(texts), max(LENGTHS)), -1)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    return network(ids).numpy()


def prefill(loaded, tokens, slot, position):
    request = {"tokens": tokens, "slot": np.int32(slot), "position": np.int32(position)}
    return loaded.predict("prefill", request)["logits"]


def decode(loaded, steps):
    """Takes one step of some slots: {slot: (token, position)} -> logits (slots, vocabulary)."""
    tokens, positions, active = np.zeros(SLOTS, np.int32), np.zeros(SLOTS, np.int32), np.zeros(SLOTS, bool)
    for slot, (token, position) in steps.items():
        tokens[slot], positions[slot], active[slot] = token, position, True
    return loaded.predict("decode", {"tokens": tokens, "positions": positions, "active": active})["logits"]


def test_conversations_of_different_lengths_share_a_step(loaded, texts, truth):
    for slot, text, expected in zip(ORDER, texts, truth, strict=True):
        np.testing.assert_allclose(prefill(loaded, text[:2], slot, 0), expected[1], atol=1e-5)
    generator, at = np.random.default_rng(0), [2, 2, 2]
    while any(place < length for place, length in zip(at, LENGTHS, strict=True)):
        rows = [row for row in range(3) if at[row] < LENGTHS[row] and generator.random() < 0.7]
        logits = decode(loaded, {ORDER[row]: (texts[row][at[row]], at[row]) for row in rows})
        for row in rows:
            np.testing.assert_allclose(logits[ORDER[row]], truth[row][at[row]], atol=1e-5)
            at[row] += 1
        assert not logits[[slot for slot in range(SLOTS) if slot not in [ORDER[row] for row in rows]]].any()


def test_a_long_prompt_comes_in_pieces(loaded, texts, truth):
    prefill(loaded, texts[0][:4], 1, 0)
    np.testing.assert_allclose(prefill(loaded, texts[0][4:], 1, 4), truth[0][8], atol=1e-5)


def test_a_slot_is_taken_anew_without_a_trace(loaded, texts, truth):
    prefill(loaded, texts[0], 0, 0)
    np.testing.assert_allclose(prefill(loaded, texts[2], 0, 0), truth[2][2], atol=1e-5)


def test_no_active_slot_changes_nothing(loaded, texts, truth):
    prefill(loaded, texts[1][:5], 3, 0)
    assert not decode(loaded, {}).any()
    np.testing.assert_allclose(decode(loaded, {3: (texts[1][5], 5)})[3], truth[1][5], atol=1e-5)


@pytest.mark.parametrize(("slot", "position"), [(SLOTS, 0), (-1, 0), (0, CONTEXT - 2), (0, -1)])
def test_a_place_that_is_not_there_is_refused(loaded, texts, slot, position):
    with pytest.raises(Exception, match=f"slots below {SLOTS}, positions below {CONTEXT}"):
        prefill(loaded, texts[2], slot, position)


def test_the_cache_is_in_no_file(saved):
    import tensorflow as tf

    sizes = [int(np.prod(shape)) for _, shape in tf.train.list_variables(str(saved / "variables" / "variables"))]
    assert max(sizes) == VOCABULARY * 48  # the embedding; the cache has 8,192 numbers
