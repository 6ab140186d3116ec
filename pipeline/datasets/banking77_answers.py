"""BANKING77 with the intent as a text that is to be written, for networks that answer in words.

Source and licence: `pipeline.datasets.banking77`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.datasets.banking77 import BANKING77

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.formats.base import Example


@dataclass(frozen=True)
class BankingAnswers:
    """Raw input `text`, a question; target `intent`, the name of what its writer wants."""

    label: str = ""
    classes: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=lambda: {"text": "bytes"})
    targets: dict[str, str] = field(default_factory=lambda: {"intent": "bytes"})

    def files(self, data: Path) -> list[Path]:
        """Returns the two files.

        Raises:
            PipelineError: One does not exist.
        """
        return BANKING77.files(data)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the questions in the order of the files, which have those of an intent one after the other."""
        for example in BANKING77.examples(data):
            features = dict(example.features)
            if BANKING77.label in features:
                features["intent"] = features.pop(BANKING77.label)
            yield replace(example, features=features)


BANKING77_ANSWERS = BankingAnswers()
