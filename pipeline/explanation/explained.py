"""One explained row, as the signature `explain` answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "attributions"


@dataclass(frozen=True)
class Explained:
    """One row of an explanation.

    Attributes:
        label: The class; empty where the model gives a number.
        score: Its probability, or the number.
        baseline: The same of a row of zeros.
        gap: What the attributions miss of `score - baseline`.
        parts: Attributions by the feature that they are of; its name is empty where there is one.
        names: The words or columns that the attributions are of, where they have names.
        words: Whether the names are words, in the order of a text.
        features: What the network saw, by name; where it is known.
    """

    label: str
    score: float
    baseline: float
    gap: float
    parts: Mapping[str, np.ndarray]
    names: tuple[str, ...]
    words: bool
    features: Mapping[str, np.ndarray]

    @property
    def title(self) -> str:
        """What is explained, in one line."""
        label = f"label {self.label}  " if self.label else ""
        missing = (
            f", {self.gap:+.2g} missing in the sum" if abs(self.gap) > 0.01 * abs(self.score - self.baseline) else ""
        )
        return f"{label}score {self.score:.4f}, {self.baseline:.4f} on zeros{missing}"

    def named(self) -> list[tuple[str, float]]:
        """Names with their attributions, in the order of the model; empty names are left out."""
        (values,) = self.parts.values()
        return [(name, float(value)) for name, value in zip(self.names, values, strict=True) if name]

    def feature(self, part: str) -> np.ndarray | None:
        """What the network saw where these attributions are; None where that is not known."""
        alike = [value for value in self.features.values() if value.shape == self.parts[part].shape]
        return self.features.get(part, alike[0] if len(alike) == 1 else None)


def rows(answer: Mapping[str, np.ndarray], features: Mapping[str, np.ndarray]) -> list[Explained]:
    """The rows of an answer of `explain`.

    Args:
        answer: Arrays (batch, …) by output name.
        features: The answer of `transform_features` to the same inputs, or nothing.
    """
    return [_row(answer, features, row) for row in range(len(answer["score"]))]


def _row(answer: Mapping[str, np.ndarray], features: Mapping[str, np.ndarray], row: int) -> Explained:
    names = answer.get("tokens", answer.get("columns"))
    return Explained(
        label=_text(answer["label"][row]) if "label" in answer else "",
        score=float(answer["score"][row]),
        baseline=float(answer["baseline_score"][row]),
        gap=float(answer["completeness_gap"][row]),
        parts={key[len(PREFIX) + 1 :]: np.asarray(v[row]) for key, v in answer.items() if key.startswith(PREFIX)},
        names=() if names is None else tuple(map(_text, names[row])),
        words="tokens" in answer,
        features={name: np.asarray(value[row]) for name, value in features.items()},
    )


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
