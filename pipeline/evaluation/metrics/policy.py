"""What a policy would have earned, estimated from the decisions of another one.

Sources: D. G. Horvitz, D. J. Thompson, A generalization of sampling without replacement from a finite universe, JASA
47(260), 1952 (inverse propensity scores); M. Dudík, J. Langford, L. Li, Doubly robust policy evaluation and learning,
ICML 2011, equation 1; L. Kish, Survey sampling, 1965 (effective rows).
"""

from __future__ import annotations

import numpy as np


def weigh(probabilities: np.ndarray, actions: np.ndarray, logged: np.ndarray) -> np.ndarray:
    """Returns how much more often a policy takes the logged actions than the one that took them, (rows,).

    Args:
        probabilities: Of the policy, (rows, actions).
        actions: The logged ones, (rows,).
        logged: Their probabilities when they were taken, (rows,).
    """
    return probabilities[np.arange(len(actions)), actions] / logged


def inverse_propensity(weights: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """Returns an estimate of the policy's reward for each row, (rows,); only their mean is of use."""
    return weights * rewards


def doubly_robust(
    weights: np.ndarray, rewards: np.ndarray, probabilities: np.ndarray, actions: np.ndarray, expected: np.ndarray
) -> np.ndarray:
    """Returns an estimate for each row, (rows,): what a model expects, corrected where its error is known.

    Args:
        weights: See `weigh`.
        rewards: Of the logged actions, (rows,).
        probabilities: Of the policy, (rows, actions).
        actions: The logged ones, (rows,).
        expected: The rewards that a model expects, (rows, actions); it must not have learnt from these rows.
    """
    known = expected[np.arange(len(actions)), actions]
    return (probabilities * expected).sum(axis=1) + weights * (rewards - known)


def effective_share(weights: np.ndarray) -> float:
    """Returns how many equally weighted rows would tell as much, as a share of the rows: from 0 to 1."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares / len(weights) if squares else 0.0
