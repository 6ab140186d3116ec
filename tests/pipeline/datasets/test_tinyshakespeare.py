"""Tiny Shakespeare: passages that cover the text, each character after the first one once."""

from __future__ import annotations

import pytest

from pipeline.datasets.tinyshakespeare import PASSAGE, TINYSHAKESPEARE


@pytest.mark.parametrize("size", [10_000, 20_483, 51_300])
def test_passages_cover_each_split(tmp_path, size):
    text = bytes(97 + number % 26 for number in range(size))
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare" / "input.txt").write_bytes(text)
    parts = {"train": b"", "eval": b"", "test": b""}
    for example in TINYSHAKESPEARE.examples(tmp_path):
        passage = example.features["text"]
        assert 2 <= len(passage) <= PASSAGE
        assert passage == example.features["target_text"]
        assert not parts[example.split] or parts[example.split][-1:] == passage[:1]
        parts[example.split] += passage[1:] if parts[example.split] else passage
    assert text == b"".join(parts.values())
    assert len(parts["test"]) == size - round(0.9 * size)
