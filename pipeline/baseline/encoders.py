"""Inputs as the matrix of a linear model, or as that of decision trees. Both learn from the training rows only."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pipeline.baseline.inputs import Inputs

MAX_BINS = 250  # categories that trees tell apart
MIN_FREQUENCY, MAX_CATEGORIES, MAX_WORDS = 3, 300, 20_000
CLIP = (1.0, 99.0)  # percentiles; the linear model reads no number further off than these are from each other


class LinearEncoder:
    """Scaled numbers, categories one-hot, words weighted by TF-IDF, side by side."""

    def fit_transform(self, rows: Inputs) -> Any:
        """Learns from training rows; returns their matrix (rows, columns)."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import OneHotEncoder

        self._fit_numbers(rows.numbers)
        self.categories = OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=MIN_FREQUENCY, max_categories=MAX_CATEGORIES
        )
        self.words = TfidfVectorizer(sublinear_tf=True, max_features=MAX_WORDS)
        if rows.categories.shape[1]:
            self.categories.fit(rows.categories)
        if rows.texts is not None:
            self.words.fit([*rows.texts, "text"])  # a vocabulary without a word is an error
        return self.transform(rows)

    def transform(self, rows: Inputs) -> Any:
        """Returns the matrix (rows, columns), sparse if there are categories or words."""
        from scipy.sparse import hstack

        parts: list[Any] = [self._scale(rows.numbers)]
        if rows.categories.shape[1]:
            parts.append(self.categories.transform(rows.categories))
        if rows.texts is not None:
            parts.append(self.words.transform(rows.texts))
        return parts[0] if len(parts) == 1 else hstack(parts, "csr")

    def _fit_numbers(self, numbers: np.ndarray) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a column without any number is NaN here, and 0 below
            low, high = (np.nanpercentile(numbers, edge, axis=0) if numbers.size else 0.0 for edge in CLIP)
            self.low, self.high = low - (high - low), high + (high - low)
            clipped = np.clip(numbers, self.low, self.high)
            self.mean, deviation = np.nanmean(clipped, axis=0), np.nanstd(clipped, axis=0)
        self.deviation = np.where(deviation > 0, deviation, 1.0)
        self.gapped = np.isnan(numbers).any(axis=0)

    def _scale(self, numbers: np.ndarray) -> np.ndarray:
        """A missing number is the mean, and a column says so."""
        scaled = (np.clip(numbers, self.low, self.high) - self.mean) / self.deviation
        missing = np.isnan(numbers[:, self.gapped]).astype(float)
        return np.concatenate([np.where(np.isfinite(scaled), scaled, 0.0), missing], axis=1)


class TreeEncoder:
    """Numbers as they are, missing ones NaN, and categories by their number; texts are left out."""

    def fit_transform(self, rows: Inputs) -> np.ndarray:
        """Learns from training rows; returns their matrix (rows, columns)."""
        from sklearn.preprocessing import OrdinalEncoder

        self.categories = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=MAX_BINS
        )
        if rows.categories.shape[1]:
            self.categories.fit(rows.categories)
        return self.transform(rows)

    def transform(self, rows: Inputs) -> np.ndarray:
        """Returns the matrix (rows, columns): numbers, then categories."""
        if not rows.categories.shape[1]:
            return rows.numbers
        return np.concatenate([rows.numbers, self.categories.transform(rows.categories)], axis=1)
