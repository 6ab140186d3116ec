"""Multi30k: 30,014 captions of photographs in English and German, and the 1,000 of the test of 2016.

Source: D. Elliott, S. Frank, K. Sima'an, L. Specia, Multi30K: multilingual English-German image descriptions, Workshop
on Vision and Language 2016, sections 2 and 3 (task 1, translations by professionals); the files of
https://github.com/multi30k/dataset, data/task1/raw. Licence: none is stated.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError, unreadable_file
from pipeline.features import text
from pipeline.formats.base import Example
from pipeline.formats.download import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
PARTS = {"train": "train", "val": "train", "test_2016_flickr": "test"}  # split by name of the files
SHA256 = {
    "train.en.gz": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "train.de.gz": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    "val.en.gz": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "val.de.gz": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "test_2016_flickr.en.gz": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
    "test_2016_flickr.de.gz": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
}
WORDS = 256  # of a sentence at most; the longest of the data has 44


@dataclass(frozen=True)
class Multi30k:
    """Raw input `source` (English), target `target_text` (German), both UTF-8; official train (with val) and test."""

    label: str = ""
    classes: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=lambda: {"source": "bytes"})
    targets: dict[str, str] = field(default_factory=lambda: {"target_text": "bytes"})

    def files(self, data: Path) -> list[Path]:
        """Returns the six files; downloads missing ones."""
        folder = data / "multi30k"
        return [fetch(folder / name, (SOURCE + name,), sha256) for name, sha256 in SHA256.items()]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the pairs in the order of the files."""
        self.files(data)
        for name, split in PARTS.items():
            paths = [data / "multi30k" / f"{name}.{language}.gz" for language in ("en", "de")]
            for number, (source, target) in enumerate(_read_pairs(*paths), 1):
                features = {"source": source, "target_text": target}
                yield Example(f"{paths[0]}: line {number}", features, split, _fault(source) or _fault(target))


def _read_pairs(first: Path, second: Path) -> Iterator[tuple[bytes, bytes]]:
    lines = [_read_lines(path) for path in (first, second)]
    if len(lines[0]) != len(lines[1]):
        raise PipelineError(
            f"{first.name} and {second.name} do not belong together.",
            expected="a translation in the same line of the other file",
            received=f"{len(lines[0]):,} and {len(lines[1]):,} lines",
            action=f"remove both from {first.parent}, so that they are downloaded again, or correct them",
        )
    return zip(*lines, strict=True)


def _read_lines(path: Path) -> list[bytes]:
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable_file(path, "a complete gzip file", error) from error
    return content.removesuffix(b"\n").split(b"\n")


def _fault(sentence: bytes) -> str:
    """Returns why a sentence cannot be used; empty if it can."""
    count = len(sentence.split())
    if count > WORDS:
        return f"{count:,} words, expected at most {WORDS}"
    return text.fault(sentence) if sentence else "no text, the sentence is empty"


MULTI30K = Multi30k()
