"""What is measured of a text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# The words of `pipeline.datasets.text.words`, without TensorFlow.
BREAK = re.compile(r"<br\s*/?>")
APOSTROPHE = re.compile("['\u2019]")
WORD = re.compile(r"[^\W_]+|[!?]")


def words(value: bytes | str) -> list[str]:
    """The words of a text, in lower case; "!" and "?" are words of their own."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return WORD.findall(APOSTROPHE.sub("", BREAK.sub(" ", text.lower())))


def measured(values: Sequence[Any]) -> dict[str, Any]:
    """Measures of texts.

    Args:
        values: UTF-8 (rows,); None or empty where one is missing.

    Returns:
        `words`: how many (rows,), NaN where the text is missing; `vocabulary`: which ones, a set per row.
    """
    found = [words(value) if value else None for value in values]
    lengths = np.array([np.nan if one is None else len(one) for one in found], float)
    return {"words": lengths, "vocabulary": [set(one or ()) for one in found]}


def unknown(texts: Sequence[set[str]], known: frozenset[str]) -> np.ndarray:
    """Share of each text's different words that are not known (rows,); NaN for a text without words."""
    return np.array([len(words - known) / len(words) if words else np.nan for words in texts])
