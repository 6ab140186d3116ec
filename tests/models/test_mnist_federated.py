"""The recipe mnist_federated: the mean of algorithm 1, clipped changes, what is sent, and numbers that do not fit."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from models import mnist_federated
from pipeline.errors import UsageError
from pipeline.recipe import Spec

ROWS = 120
SPEC = Spec({"image": ((28, 28, 1), "float32")}, tuple("0123456789"), 1)
PARAMS = mnist_federated.Params(clients=5, share=0.4, local_epochs=2, batch_size=4, filters=(2, 2), hidden=4)
CHANCE = np.random.default_rng(0)
IMAGES, LABELS = CHANCE.random((ROWS, 28, 28, 1)).astype(np.float32), np.arange(ROWS) % 10

pytestmark = pytest.mark.heavy


def federation(**params):
    keras.utils.set_random_seed(1)
    p = dataclasses.replace(PARAMS, **params)
    return mnist_federated.Federation(mnist_federated.build(p, SPEC), IMAGES, LABELS, p, seed=1)


def flat(weights):
    return np.concatenate([part.ravel() for part in weights])


def test_a_round_is_the_mean_of_its_clients_by_their_rows():
    whole, parts = federation(), federation()
    before, losses = parts.model.get_weights(), []
    loss, megabytes = whole.round(3, losses.append)
    dealer = np.random.default_rng((1, 3))
    chosen = [parts.clients[place] for place in parts.choose(dealer)]
    changes = [flat(parts.change(before, rows, dealer)[0]) for rows in chosen]
    mean = np.average(changes, axis=0, weights=[len(rows) for rows in chosen])
    np.testing.assert_allclose(flat(before) + mean, flat(whole.model.get_weights()), atol=1e-6)
    assert 2 == len(chosen) == len(losses)
    assert np.mean(losses) == pytest.approx(loss)
    assert 2 * 2 * 4 * len(flat(before)) / 1e6 == pytest.approx(megabytes)


def test_a_round_again_is_the_same_and_another_is_not():
    first, again, other = federation(), federation(), federation()
    for each, number in ((first, 0), (again, 0), (other, 1)):
        each.round(number, print)
    np.testing.assert_array_equal(flat(first.model.get_weights()), flat(again.model.get_weights()))
    assert flat(first.model.get_weights()).tolist() != flat(other.model.get_weights()).tolist()


def test_with_privacy_no_client_changes_more_than_the_clip():
    private = federation(noise=1.0, clip=0.01)
    before, dealer = private.model.get_weights(), np.random.default_rng(0)
    for rows in private.clients:
        assert 0.01 == pytest.approx(np.linalg.norm(flat(private.change(before, rows, dealer)[0])), rel=1e-3)


def test_the_noise_of_the_mean_is_that_of_the_accountant():
    private = federation(noise=2.0, clip=0.5, share=1.0)
    before = flat(private.model.get_weights())
    private.round(0, print)
    change = flat(private.model.get_weights()) - before
    assert 2.0 * 0.5 / 5 == pytest.approx(change.std(), rel=0.1)  # five clients, each with a clipped change beside it


def test_a_round_to_which_nobody_comes_changes_nothing_but_by_noise():
    private = federation(noise=1.0, share=1e-9)
    loss, megabytes = private.round(0, print)
    assert (0.0, 0.0) == (loss, megabytes)
    assert np.isfinite(flat(private.model.get_weights())).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("clients", 0), ("share", 0.0), ("share", 1.5), ("local_epochs", 0), ("noise", -1.0), ("clip", 0.0)],
)
def test_numbers_that_are_no_federation_are_named(name, value):
    with pytest.raises(UsageError, match=f"{name} is out of range"):
        mnist_federated.build(dataclasses.replace(PARAMS, **{name: value}), SPEC)
