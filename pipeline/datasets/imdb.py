"""IMDB: 25,000 and 25,000 film reviews in English, half of them positive; train and test share no film.

Source: A. L. Maas et al., Learning word vectors for sentiment analysis, ACL 2011, section 4.1
(https://ai.stanford.edu/~amaas/data/sentiment/). Licence: none is stated; its authors ask to be cited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.formats.download import fetch, file_digest
from pipeline.formats.folders import read_texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.formats.base import Example

SOURCE = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"  # of the file, as in TensorFlow Datasets
ORIGINAL = "aclImdb_v1.tar.gz"
LABELLED = "aclImdb_50k.tar.xz"
UNLABELLED = ("unsup",)


@dataclass(frozen=True)
class Imdb:
    """Raw input `text` (UTF-8, with HTML's `<br />`), label `label` ("neg" or "pos"); official train and test.

    Reads `imdb/aclImdb_50k.tar.xz`, which has the labelled reviews only (members `train`, `val` and `test`, then `neg`
    and `pos`, then `NAME.txt`; val is a part of the official train), or else the authors' archive.
    """

    classes: tuple[str, ...] = ("neg", "pos")
    label: str = "label"

    @property
    def inputs(self) -> dict[str, str]:
        """One review."""
        return {"text": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """Returns the archive; downloads the authors' if both are missing."""
        folder = data / "imdb"
        if (folder / LABELLED).exists():
            return [folder / LABELLED]
        return [fetch(folder / ORIGINAL, (SOURCE,), SHA256, file_digest)]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the reviews in the order of the archive, without the unlabelled ones."""
        (path,) = self.files(data)
        return read_texts(path, UNLABELLED)


IMDB = Imdb()
