"""Learning pieces of words as a step of TensorFlow Transform's analysis, over all texts of the training split."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from tensorflow_transform.beam.experimental import PTransformAnalyzer

from pipeline.features.pieces import Trie, count_units, learn_pieces, make_trie

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np


class LearnPieces(PTransformAnalyzer):  # type: ignore[misc]  # TFT has no types
    """Maps batches of normalized texts, a tuple of one array (batch,) each, to pieces.

    Args:
        size: Number of pieces at most.
        name: Name of the file that is written; its path is the output. Without a name the outputs are a `Trie`.
    """

    def __init__(self, size: int, name: str = "") -> None:
        super().__init__()
        self.size, self.name = size, name

    def expand(self, batches: Any) -> Any:
        """Counts the words of all texts, then learns."""
        counts = batches | beam.Map(_count) | beam.CombineGlobally(_sum)
        if self.name:
            return counts | beam.Map(_write, self.size, str(Path(self.base_temp_dir) / self.name))
        return tuple(counts | beam.FlatMap(_make_trie, self.size).with_outputs(*Trie._fields))


def _count(batch: tuple[np.ndarray]) -> Counter[str]:
    return count_units(text.decode() for text in batch[0].tolist())


def _sum(counts: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in counts:
        total.update(part)
    return total


@functools.lru_cache(maxsize=2)  # file and trie need the same pieces
def _learn(counts: tuple[tuple[str, int], ...], size: int) -> list[str]:
    return learn_pieces(dict(counts), size)


def _write(counts: Counter[str], size: int, path: str) -> str:
    pieces = _learn(tuple(sorted(counts.items())), size)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    return path


def _make_trie(counts: Counter[str], size: int) -> Iterator[beam.pvalue.TaggedOutput]:
    trie = make_trie(_learn(tuple(sorted(counts.items())), size))
    for name, values in trie._asdict().items():
        yield beam.pvalue.TaggedOutput(name, values)


def learn_trie(text: Any, size: int, name: str) -> Trie:
    """Learns pieces from normalized texts (batch,) of the training split: an analyser of TensorFlow Transform.

    Args:
        text: The texts.
        size: Number of pieces at most.
        name: Name of the vocabulary's file, one piece in a line, which `Spec.entries` has.
    """
    import tensorflow as tf
    import tensorflow_transform as tft

    analyse = tft.experimental.ptransform_analyzer
    # TFT takes all outputs of an analyser for files, or none: so there are two.
    analyse([text], LearnPieces(size, name), [tf.string], [[]], output_asset_default_values=[b"-"])
    return Trie(*analyse([text], LearnPieces(size), [tf.int32] * 3, [[None], [None, None], [None]]))
