"""Tiny Shakespeare: 1,115,394 characters of plays by William Shakespeare, as one text.

Source: A. Karpathy, char-rnn, https://github.com/karpathy/char-rnn (data/tinyshakespeare); the plays are in the public
domain. Licence: MIT, that of the repository.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.formats.base import Example
from pipeline.formats.download import fetch, file_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
PASSAGE = 513  # characters: 512 that each come after another one
SHARES = {"train": 0.87, "eval": 0.90, "test": 1.0}  # of the text; the last tenth is the test, as in nanoGPT


@dataclass(frozen=True)
class TinyShakespeare:
    """Raw input `text`, target `target_text`, which is the same: passages of 513 characters, one behind the other.

    Each passage begins with the last character of the one before, so that every character comes after another one.
    The splits are parts of the text in its order, for passages next to each other are of the same scene.
    """

    label: str = ""
    classes: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=lambda: {"text": "bytes"})
    targets: dict[str, str] = field(default_factory=lambda: {"target_text": "bytes"})

    def files(self, data: Path) -> list[Path]:
        """Returns the file; downloads it if it is missing."""
        return [fetch(data / "tinyshakespeare" / "input.txt", (SOURCE,), SHA256, file_digest)]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the passages in the order of the text; the last one of a split may be shorter."""
        (path,) = self.files(data)
        content, start = path.read_bytes(), 0
        for split, share in SHARES.items():
            end = round(share * len(content))
            for place in range(start, end - 1, PASSAGE - 1):
                passage = content[place : min(place + PASSAGE, end)]
                yield Example(f"{path}: byte {place}", {"text": passage, "target_text": passage}, split)
            start = end


TINYSHAKESPEARE = TinyShakespeare()
