"""BLEU and chrF over any sentences against sacrebleu's own functions over them."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.metrics import translation

WORDS = st.sampled_from(["ein", "Hund", "läuft", "im", "Park", ".", "zwei", "Männer"])
SENTENCES = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(SENTENCES, SENTENCES | st.just("")), min_size=2, max_size=8), st.data())
def test_both_are_those_of_sacrebleu_over_any_rows(pairs, data):
    truth, found = (list(part) for part in zip(*pairs, strict=True))
    rows = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=8))
    some_truth, some_found = [truth[row] for row in rows], [found[row] for row in rows]
    own = translation.bleu(truth, found).over(np.array(rows))
    assert own == pytest.approx(sacrebleu.corpus_bleu(some_found, [some_truth]).score)
    own = translation.chrf(truth, found).over(np.array(rows))
    assert own == pytest.approx(sacrebleu.corpus_chrf(some_found, [some_truth]).score)
