"""Texts in UTF-8: the check of a file, and splitting into words in the TensorFlow graph."""

from __future__ import annotations

from typing import Any

BREAK = r"<br\s*/?>"
APOSTROPHE = r"['\x{2019}]"  # straight and curly
MARK = r"([!?])"
OTHER = r"[^\p{L}\p{M}\p{N}!?]+"
FREE_WORDS = 3.0  # average words per value from which on a column is free text, not a category


def fault(content: bytes) -> str:
    """Returns why bytes are no usable text; empty if they are."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    return "" if text.strip() else "no text, only white space" if text else "no text, the file is empty"


def words(text: Any) -> Any:
    """Splits a batch of texts into words, in the graph.

    Lower case, without HTML's line breaks. Words are letters and digits; an apostrophe joins ("isn't" is "isnt"), "!"
    and "?" are separate words, everything else separates words. Bytes that are not UTF-8 separate words, too.

    Args:
        text: String tensor (batch,).

    Returns:
        String RaggedTensor (batch, words of each).
    """
    import tensorflow as tf

    text = tf.strings.regex_replace(tf.strings.lower(text, encoding="utf-8"), BREAK, " ")
    text = tf.strings.regex_replace(tf.strings.regex_replace(text, APOSTROPHE, ""), MARK, r" \1 ")
    return tf.strings.split(tf.strings.regex_replace(text, OTHER, " "))
