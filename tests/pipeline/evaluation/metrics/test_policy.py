"""What a policy would have earned: on average the estimates say what it does earn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.bootstrap import interval, mean_of
from pipeline.evaluation.metrics.policy import doubly_robust, effective_share, inverse_propensity, weigh

ROWS, ACTIONS = 20_000, 4


def simulated(seed):
    """Decisions of one policy, the probabilities of another, the true rewards of all actions."""
    chance = np.random.default_rng(seed)
    rewards = chance.random((ROWS, ACTIONS))
    logging, policy = (chance.dirichlet([2.0] * ACTIONS, ROWS) * 0.8 + 0.2 / ACTIONS for _ in range(2))
    actions = (logging.cumsum(axis=1) < chance.random((ROWS, 1))).sum(axis=1).clip(0, ACTIONS - 1)
    weights = weigh(policy, actions, logging[np.arange(ROWS), actions])
    return actions, weights, policy, rewards, rewards[np.arange(ROWS), actions]


def within_four_errors(values, truth):
    return abs(values.mean() - truth) < 4 * values.std() / np.sqrt(len(values))


@given(st.integers(0, 30))
def test_estimates_are_right_on_average_whatever_the_model_expects(seed):
    actions, weights, policy, rewards, earned = simulated(seed)
    truth = (policy * rewards).sum(axis=1).mean()
    assert within_four_errors(inverse_propensity(weights, earned), truth)
    for expected in (np.zeros_like(rewards), np.full_like(rewards, 0.5), 1.0 - rewards):
        assert within_four_errors(doubly_robust(weights, earned, policy, actions, expected), truth)


@pytest.mark.heavy
def test_intervals_hold_the_truth_as_often_as_they_say():
    held = []
    for seed in range(60):
        actions, weights, policy, rewards, earned = (part[:400] for part in simulated(seed))
        robust = mean_of(doubly_robust(weights, earned, policy, actions, np.full_like(rewards, 0.5)))
        low, high = interval(robust, np.arange(robust.rows))
        held.append(low < (policy * rewards).sum(axis=1).mean() < high)
    assert 0.88 <= np.mean(held)


def test_a_model_that_knows_the_rewards_leaves_no_noise():
    actions, weights, policy, rewards, earned = simulated(1)
    robust = doubly_robust(weights, earned, policy, actions, rewards)
    np.testing.assert_allclose(robust, (policy * rewards).sum(axis=1))
    assert robust.std() < inverse_propensity(weights, earned).std()


def test_the_policy_that_logged_is_worth_what_it_earned():
    probabilities, actions = np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([1, 0])
    weights = weigh(probabilities, actions, np.array([0.75, 0.5]))
    assert [1.0, 1.0] == weights.tolist()
    assert [3.0, 4.0] == inverse_propensity(weights, np.array([3.0, 4.0])).tolist()


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=50))
def test_effective_rows_are_a_share(weights):
    assert 0.0 <= effective_share(np.array(weights)) <= 1.0 + 1e-9


def test_equal_weights_count_whole_and_a_single_one_as_one():
    assert 1.0 == effective_share(np.full(8, 3.0))
    assert 0.125 == effective_share(np.eye(8)[0])
