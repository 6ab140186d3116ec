"""Draws the next token of one row from its logits; each row by numbers of its own seed.

So a request's answer does not depend on the requests beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

_GREEDY = 1e-4  # temperatures below it would only overflow
_CANDIDATES = (256, 4096)  # most likely tokens that are looked at first: sorting all takes milliseconds


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: Logits are divided by it; 0 for the most likely token.
        top_p: Share of the probability that the most likely tokens have, of which one is drawn (Holtzman et al. 2020,
            "The Curious Case of Neural Text Degeneration", section 3.1).
        seed: What the draws are made from.
        frequency_penalty: Taken from a token's logit for each time that it was drawn.
        presence_penalty: Taken from a token's logit once it was drawn.
        bias: Added to logits, by token.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    bias: Mapping[int, float] = field(default_factory=dict)


class Sampler:
    """Draws the tokens of one answer.

    Args:
        sampling: How.
        choice: Which of the answers to one prompt it is: each has draws of its own.
    """

    def __init__(self, sampling: Sampling, choice: int = 0) -> None:
        self._sampling = sampling
        self._random = np.random.default_rng([sampling.seed % 2**64, choice])
        self._counts: dict[int, int] = {}

    def draw(self, logits: np.ndarray) -> int:
        """The next token after (vocabulary,) logits."""
        adjusted = self._adjust(np.where(np.isnan(logits), -np.inf, logits).astype(np.float64))
        token = self._choose(adjusted)
        self._counts[token] = self._counts.get(token, 0) + 1
        return token

    def _adjust(self, logits: np.ndarray) -> np.ndarray:
        sampling = self._sampling
        for token, bias in sampling.bias.items():
            logits[token] += bias
        if sampling.frequency_penalty or sampling.presence_penalty:
            for token, count in self._counts.items():
                logits[token] -= sampling.frequency_penalty * count + sampling.presence_penalty
        return logits

    def _choose(self, logits: np.ndarray) -> int:
        temperature = self._sampling.temperature
        if temperature < _GREEDY:
            return int(logits.argmax())
        weights = np.exp((logits - logits.max()) / temperature)
        place = self._random.random()  # drawn whatever the rest is, so that draws and tokens keep pace
        if self._sampling.top_p < 1:
            tokens = _nucleus(weights, self._sampling.top_p)
            return int(tokens[_draw(weights[tokens], place)])
        return _draw(weights, place)


def _draw(weights: np.ndarray, place: float) -> int:
    """The index at a share of the sum of weights."""
    sums = weights.cumsum()
    return min(int(np.searchsorted(sums, place * sums[-1], side="right")), int(np.flatnonzero(weights)[-1]))


def _nucleus(weights: np.ndarray, top_p: float) -> np.ndarray:
    """The fewest most likely tokens that have a share of the sum of weights, most likely first."""
    wanted = top_p * weights.sum()
    for count in (*_CANDIDATES, weights.size):
        few = count < weights.size
        tokens = np.argpartition(weights, -count)[-count:] if few else np.arange(weights.size)
        tokens = tokens[np.argsort(-weights[tokens], kind="stable")]
        sums = weights[tokens].cumsum()
        if not few or sums[-1] >= wanted:
            break
    return tokens[: int(np.searchsorted(sums, wanted)) + 1]


def log_probabilities(logits: np.ndarray, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """Natural logarithms of probabilities, at temperature 1.

    Args:
        logits: (vocabulary,).
        token: The one that was drawn.
        count: How many of the most likely ones.

    Returns:
        That of the drawn one, and the most likely ones with theirs, most likely first.
    """
    numbers = logits.astype(np.float64)
    numbers -= numbers.max()
    numbers -= np.log(np.exp(numbers).sum())
    count = min(count, numbers.size)
    top = np.argpartition(numbers, -count)[-count:] if count else np.empty(0, np.int64)
    top = top[np.argsort(-numbers[top], kind="stable")]
    return float(numbers[token]), [(int(each), float(numbers[each])) for each in top]
