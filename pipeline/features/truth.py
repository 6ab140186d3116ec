"""True and false in whatever words: "TRUE", "t", "Yes", "0"; in Python, and in the graph as a number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

TRUE = ("true", "t", "yes", "y", "on", "1", "1.0")
FALSE = ("false", "f", "no", "n", "off", "0", "0.0")
PAIRS = tuple(map(set, zip(TRUE, FALSE, strict=True)))


def are_truth_values(texts: Iterable[str]) -> bool:
    """Returns whether texts say both true and false, and nothing else; single letters in one language: T and F.

    Only numbers are none: 0 and 1 are read as such.
    """
    words = {text.strip().casefold() for text in texts}
    letters, long = {word for word in words if len(word) == 1 and word.isalpha()}, {"true", "false", "yes", "no"}
    fits = not letters or bool(words & long) or any(letters <= pair for pair in PAIRS)
    both = bool(words & set(TRUE) and words & set(FALSE))
    return both and fits and words <= {*TRUE, *FALSE} and any(word.isalpha() for word in words)


def truth(text: Any) -> Any:
    """Converts texts to numbers, in the graph.

    Args:
        text: String tensor (batch,).

    Returns:
        Float32 tensor (batch,): 1 for true, 0 for false, NaN for what is missing or says neither.
    """
    import tensorflow as tf

    word = tf.strings.lower(tf.strings.strip(text))
    true, false = (tf.strings.regex_full_match(word, "|".join(map(re.escape, words))) for words in (TRUE, FALSE))
    return tf.where(true, 1.0, tf.where(false, 0.0, float("nan")))
