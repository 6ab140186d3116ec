"""Word error rate against jiwer."""

from __future__ import annotations

import math

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.metrics import recognition

SENTENCES = st.lists(st.sampled_from(["one", "two", "three"]), max_size=6).map(" ".join)


@given(st.lists(st.tuples(SENTENCES.filter(bool), SENTENCES), min_size=1, max_size=6))
def test_word_error_rate_is_that_of_jiwer(pairs):
    truth, found = (list(part) for part in zip(*pairs, strict=True))
    assert recognition.word_error_rate(truth, found).value == pytest.approx(jiwer.wer(truth, found))


def test_silence_is_right_without_words_and_wrong_with_some():
    measured = recognition.word_error_rate(["", "one two"], ["", "one"])
    assert measured.value == 0.5
    assert math.isnan(measured.over(np.array([0])))
    assert recognition.word_error_rate(["", "one"], ["two", "one"]).value == 1.0
