"""What the learning curves say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.fit import Training, diagnose, revise_diagnosis

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
FALLING = {"loss": [0.02, 0.01], "val_loss": [0.0165, 0.0153]}


@pytest.mark.parametrize(
    ("metrics", "advised"),
    [
        ({}, True),
        ({"val_accuracy": [1.0, 1.0]}, False),
        ({"val_accuracy": [1.0, 0.99]}, True),
        ({"accuracy": [1.0, 1.0], "val_accuracy": [0.9, 0.99]}, True),
        ({"val_auc": [0.9, 1.0]}, False),
        ({"val_mae": [1.5, 1.0]}, True),
        ({"val_loss": [0.1, 0.0]}, False),
    ],
)
def test_no_epochs_are_advised_where_nothing_can_be_better(metrics, advised):
    words = diagnose({**FALLING, **metrics}, stopped_early=False)
    assert advised == ("more epochs may help" in words)
    assert advised or "no sign of under- or overfitting" in words


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


@pytest.mark.heavy
def test_devices_that_train_together_get_their_data_once(tmp_path, monkeypatch):
    """And as much as one device alone."""
    import keras
    import tensorflow as tf
    from tensorflow.python.distribute import input_lib

    from pipeline.training import input_pipeline
    from pipeline.training.collective import SingleWorker

    made = []
    iterate = input_lib.DistributedDataset.__iter__
    monkeypatch.setattr(input_lib.DistributedDataset, "__iter__", lambda data: (made.append(data), iterate(data))[1])
    x = tf.random.stateless_normal([50, 3], seed=[1, 2])
    rows = input_pipeline.Rows(tf.data.Dataset.from_tensor_slices((x, tf.reduce_sum(x, axis=1))), 50, 800)

    def fit(strategy):
        keras.utils.set_random_seed(1)
        with strategy.scope():
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
        return (
            Training(
                model=model,
                train=lambda first: input_pipeline.training_batches(rows, 8, first, lambda *row: row, None).take(6),
                evaluation=input_pipeline.validation_batches(rows, 20),
                folder=tmp_path / type(strategy).__name__,
                patience=9,
                steps=6,
                batch_size=8,
                strategy=strategy,
                precision="float32",
                nodes=SingleWorker(),
            )
            .fit(4)
            .history
        )

    history = fit(tf.distribute.MirroredStrategy(["CPU:0"]))
    assert 7 == len(made)  # of four epochs: one for the validation of each, the training's, and two of no epoch
    alone = fit(tf.distribute.get_strategy())
    assert history.keys() == alone.keys()
    for name, values in history.items():
        assert values == pytest.approx(alone[name], rel=0.1), name  # the rows come in another order


def test_a_metric_that_the_rows_do_not_define_says_nothing_about_a_bound():
    words = "best epoch 3 of 3, val_loss 0.2; " + diagnose(FALLING, stopped_early=False).partition("; ")[2]
    assert words == revise_diagnosis(words, {"auc": None, "accuracy": 0.9})
    assert words != revise_diagnosis(words, {"auc": None, "accuracy": 1.0})
