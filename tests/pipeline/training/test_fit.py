"""What the learning curves say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.fit import diagnose

CASES = {
    "no epoch": ({}, False, "no finished epoch"),
    "no validation": ({"loss": [1.0]}, False, "no finished epoch"),
    "diverged": ({"loss": [1.0, float("nan")], "val_loss": [1.0, 2.0]}, False, "diverged"),
    "exploded": ({"loss": [1.0, 2.0], "val_loss": [1.0, float("inf")]}, False, "diverged"),
    "still falling": (
        {"loss": [2.0, 1.0, 0.5], "val_loss": [2.0, 1.0, 0.6]},
        False,
        "underfitting: val_loss was still",
    ),
    "single epoch": ({"loss": [2.0], "val_loss": [2.0]}, False, "underfitting is likely after a single epoch"),
    "rose again": (
        {"loss": [1.0, 0.5, 0.2, 0.1], "val_loss": [1.0, 0.6, 0.9, 1.2]},
        True,
        "overfitting after epoch 2: val_loss rose to 1.0500 while loss fell from 0.5000 to 0.1000",
    ),
    "wide gap": ({"loss": [0.5, 0.1, 0.1], "val_loss": [0.7, 0.5, 0.51]}, True, "overfitting: val_loss 0.5000 against"),
    "sound": ({"loss": [1.0, 0.5, 0.45], "val_loss": [1.0, 0.5, 0.51]}, True, "no sign of under- or overfitting"),
    "tiny losses": ({"loss": [0.1, 0.001, 0.001], "val_loss": [0.1, 0.01, 0.011]}, True, "no sign of"),
    "settled": ({"loss": [1.0, 0.5, 0.4999], "val_loss": [1.0, 0.5, 0.4999]}, False, "no sign of"),
}


@pytest.mark.parametrize(("history", "stopped", "words"), CASES.values(), ids=CASES)
def test_curves_in_words(history, stopped, words):
    assert words in diagnose(history, stopped_early=stopped)


def test_best_epoch_is_named_with_its_loss():
    found = diagnose({"loss": [1.0, 0.5, 0.45], "val_loss": [1.0, 0.5, 0.51]}, stopped_early=True)
    assert found.startswith("best epoch 2 of 3, val_loss 0.5000; ")


@given(st.lists(st.tuples(st.floats(), st.floats())), st.booleans())
def test_any_curve_is_one_sentence(curve, stopped):
    history = {"loss": [loss for loss, _ in curve], "val_loss": [val for _, val in curve]}
    found = diagnose(history, stopped_early=stopped)
    assert found.endswith(".")
    assert "\n" not in found
