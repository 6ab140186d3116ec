"""A recipe over texts: a column of a table, or `.txt` files in one folder per class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.datasets.text_folder import TextFolder
from pipeline.scaffold import folders
from pipeline.scaffold.folders import Folders
from pipeline.scaffold.identifier import identifiers
from pipeline.scaffold.plan import Plan
from pipeline.scaffold.prose import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path("/")  # the paths are absolute here
LONGEST = 500
KNOWN = 30_000


def plan(path: Path) -> Plan:
    """Looks at a folder or an archive of texts.

    Raises:
        PipelineError: There is nothing to tell apart, or too little.
    """
    found, words = Folders(), []
    for example in TextFolder(str(path), ()).examples(ROOT):
        name, content = example.features["label"], example.features["text"]
        assert isinstance(name, bytes)
        assert isinstance(content, bytes)
        found.add(example.split, name.decode(errors="replace"), example.source, example.fault)
        words.append(len(content.split()))
    facts = folders.facts(path, found, "texts")
    facts |= {"format": "TextFolder", "text": "text"}
    return Plan(
        "text", facts | _sizes(words), folders.HEAD, found.rows(), [_seen(words), *folders.notes(facts["without"])]
    )


def of_column(
    common: dict[str, Any],
    column: str,
    words: list[int],
    head: tuple[str, ...],
    rows: list[tuple[str, ...]],
    notes: list[str],
) -> Plan:
    """The recipe over a table that has one column of text and a class."""
    label = common["label"]
    called = identifiers([column, label])
    facts = {
        "column": column,
        "text": called[column],
        "without": (),
        "renamed": {new: old for old, new in called.items() if new != old},
        "title": f"{plain(label)} from the texts of {common['file']}.",
        "words": common["bounds"].baseline,
    }
    return Plan("text", common | facts | _sizes(words), head, rows, [*notes, _seen(words)])


def _sizes(words: Sequence[int]) -> dict[str, Any]:
    ordered = sorted(words)
    most = ordered[int(0.95 * (len(ordered) - 1))]
    return {"length": min(max(-(-most // 10) * 10, 10), LONGEST), "vocabulary": KNOWN}


def _seen(words: Sequence[int]) -> str:
    ordered = sorted(words)
    return f"Texts of {ordered[len(ordered) // 2]} words in the middle, {ordered[-1]} at most."
