"""Cora: 2,708 papers on machine learning in 7 classes, 1,433 words, 5,278 citations; Planetoid's split 140/500/1,000.

Source: P. Sen et al., Collective classification in network data, AI Magazine 29(3), 2008; in the files and the split of
Z. Yang et al., Revisiting semi-supervised learning with graph embeddings, ICML 2016,
https://github.com/kimiyoung/planetoid.
Licence: MIT.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from pipeline.errors import PipelineError, unreadable_file
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

SOURCE = "https://github.com/kimiyoung/planetoid"
PARTS = ("x", "allx", "tx", "ally", "ty", "graph", "test.index")
EVAL_PAPERS = 500  # those after the training ones
MOST_WORDS = 32  # of a paper; 30 in the data
# In the order of the labels' columns, by the number of their papers: 351, 217, 418, 818, 426, 298, 180.
CLASSES = (
    "Theory", "Reinforcement_Learning", "Genetic_Algorithms", "Neural_Networks", "Probabilistic_Methods", "Case_Based",
    "Rule_Learning",
)  # fmt: skip


class Stored:
    """What a pickle says of an object of NumPy or SciPy: nothing of theirs is called."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments, self.state = arguments, None

    def __setstate__(self, state: Any) -> None:
        self.state = state


# Everything that the files name, and what takes its place.
STAND_INS = {
    ("scipy.sparse.csr", "csr_matrix"): Stored,
    ("scipy.sparse._csr", "csr_matrix"): Stored,
    ("numpy.core.multiarray", "_reconstruct"): Stored,
    ("numpy._core.multiarray", "_reconstruct"): Stored,
    ("numpy", "ndarray"): Stored,
    ("numpy", "dtype"): Stored,
    ("_codecs", "encode"): Stored,  # how Python 3 writes bytes for Python 2
    ("__builtin__", "bytes"): Stored,
    ("collections", "defaultdict"): defaultdict,
    ("builtins", "list"): list,
    ("__builtin__", "list"): list,  # Python 2's name
}


class DataUnpickler(pickle.Unpickler):
    """Reads arrays, sparse matrices and dictionaries of lists; refuses every other name, and so executes nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in.

        Raises:
            UnpicklingError: The file names something else.
        """
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no data")
        return STAND_INS[module, name]


def read_pickle(file: IO[bytes]) -> Any:
    """Reads an array, (rows, columns) of a sparse matrix, or a dictionary.

    Raises:
        UnpicklingError: The file has anything else.
        ValueError: An array does not have the bytes that its shape needs.
    """
    content = DataUnpickler(file, encoding="latin1").load()
    if not isinstance(content, Stored):
        return content
    return to_dense(content.state) if isinstance(content.state, dict) else to_array(content)


def to_array(stored: Stored) -> np.ndarray:
    """Returns the array of its state: version, shape, type, order in memory, bytes."""
    import numpy as np

    state: Any = stored.state
    _, shape, kind, by_columns, content = state
    order = kind.state[1].replace("|", "=")
    if isinstance(content, Stored):
        content = next(iter(content.arguments), "")
    values = np.frombuffer(content.encode("latin1"), np.dtype(order + kind.arguments[0]))
    return values.reshape(shape, order="F" if by_columns else "C")


def to_dense(state: dict[str, Any]) -> np.ndarray:
    """Returns the matrix of a compressed sparse one."""
    import numpy as np

    indptr, indices, data = (to_array(state[name]) for name in ("indptr", "indices", "data"))
    rows, columns = state["_shape"]
    if len(indptr) != rows + 1 or (np.diff(indptr) < 0).any() or indptr[-1] != len(indices):
        raise ValueError(f"the rows of a matrix {rows} x {columns} do not fit its entries")
    dense = np.zeros((rows, columns), np.float32)
    dense[np.repeat(np.arange(rows), np.diff(indptr)), indices] = data
    return dense


@dataclass(frozen=True)
class Graph:
    """The papers in the order of their numbers.

    Attributes:
        words: Whether a paper has a word, (papers, words).
        classes: Number of each paper's class, (papers,); -1 if it has none.
        citations: Pairs of papers, the smaller number first, each once, (citations, 2).
        train: Number of papers of the training split, the first ones.
        test: Numbers of those of the test split.
    """

    words: np.ndarray
    classes: np.ndarray
    citations: np.ndarray
    train: int
    test: tuple[int, ...]


@dataclass(frozen=True)
class Papers:
    """Raw input `paper_id`, a number from 0 to 2,707; label `topic`. 1,068 papers are in the graph and in no split.

    Args:
        path: Folder of the files under the data folder, and the beginning of their names.
    """

    path: str = "cora/ind.cora"
    label: str = "topic"
    classes: tuple[str, ...] = field(default=CLASSES)

    @property
    def inputs(self) -> dict[str, str]:
        """A paper of the graph."""
        return {"paper_id": "int"}

    def files(self, data: Path) -> list[Path]:
        """Returns the files.

        Raises:
            PipelineError: One of them does not exist.
        """
        files = [data / f"{self.path}.{part}" for part in PARTS]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise PipelineError(
                "The files of Cora do not exist.",
                expected=f"{', '.join(file.name for file in files)} in {files[0].parent}",
                received=f"no {', no '.join(missing)}",
                action=f"take them from the folder data of {SOURCE}, or set KERASPIPE_DATA to the folder above",
            )
        return files

    def read(self, data: Path) -> Graph:
        """Reads the graph.

        Raises:
            PipelineError: A file is damaged, is no data, or an edge leads nowhere.
        """
        import numpy as np

        files = dict(zip(PARTS, self.files(data), strict=True))
        x, allx, tx, ally, ty, graph = (_read(files[part]) for part in PARTS[:-1])
        test = _read_numbers(files["test.index"], len(allx), len(allx) + len(tx))
        words, labels = np.concatenate([allx, tx]), np.concatenate([ally, ty])
        words[test], labels[test] = tx, ty  # they lie in another order than their numbers
        classes = np.where(labels.any(axis=1), labels.argmax(axis=1), -1)
        return Graph(words > 0, classes, _citations(files["graph"], graph, len(words)), len(x), tuple(test))

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the papers of the three splits by their numbers; `words` are the numbers of the paper's words."""
        graph, files = self.read(data), self.files(data)
        evaluated = range(graph.train, graph.train + EVAL_PAPERS)
        splits = dict.fromkeys(range(graph.train), "train") | dict.fromkeys(evaluated, "eval")
        table = pad_words(graph.words)
        for paper, split in sorted((splits | dict.fromkeys(graph.test, "test")).items()):
            kind = int(graph.classes[paper])
            features = {"paper_id": paper, "topic": self.classes[kind].encode(), "words": table[paper]}
            fault = "" if kind >= 0 else "it has no class"
            yield Example(f"{files[0].parent} paper {paper}", features, split, fault)

    def tables(self, data: Path) -> dict[str, Any]:
        """Returns the graph.

        Returns:
            {"paper_id": (papers,), "words": (papers, 32), the numbers of its words, then -1, "citations":
            (citations, 2), "vocabulary": (), how many words there are}.
        """
        import numpy as np

        graph = self.read(data)
        numbers = {"paper_id": np.arange(len(graph.words)), "vocabulary": np.array(graph.words.shape[1])}
        return {**numbers, "words": pad_words(graph.words), "citations": graph.citations}


def pad_words(there: np.ndarray) -> np.ndarray:
    """Returns the numbers of each paper's words, then -1, (papers, 32); a longer paper loses its last ones."""
    import numpy as np

    table = np.full((len(there), MOST_WORDS), -1, np.int64)
    for paper, row in enumerate(there):
        words = np.flatnonzero(row)[:MOST_WORDS]
        table[paper, : len(words)] = words
    return table


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return read_pickle(file)
    except (pickle.UnpicklingError, ValueError, TypeError, AttributeError, LookupError, EOFError) as error:
        raise unreadable_file(path, "a pickle of arrays, of a sparse matrix or of a dictionary", error) from error


def _read_numbers(path: Path, low: int, high: int) -> list[int]:
    try:
        numbers = [int(line) for line in path.read_text(encoding="utf-8").split()]
    except ValueError as error:
        raise unreadable_file(path, "a number in each line", error) from error
    if sorted(numbers) != list(range(low, high)):
        raise unreadable_file(path, f"each number from {low} to {high - 1} once", ValueError(f"{len(numbers)} numbers"))
    return numbers


def _citations(path: Path, graph: dict[Any, Any], papers: int) -> np.ndarray:
    import numpy as np

    pairs = set()
    for paper, others in graph.items():
        for other in others:
            if not all(isinstance(end, int) and 0 <= end < papers for end in (paper, other)):
                raise PipelineError(
                    f"{path}: paper {paper} has an edge to nowhere.",
                    expected=f"papers from 0 to {papers - 1}",
                    received=f"an edge from {paper!r} to {other!r}",
                    action="correct the graph, or add the paper",
                )
            pairs.add((min(paper, other), max(paper, other)))
    return np.array(sorted(pair for pair in pairs if pair[0] != pair[1]), np.int64).reshape(-1, 2)


CORA = Papers()
