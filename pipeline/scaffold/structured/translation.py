"""Recipes that translate: two columns of text in a table."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError
from pipeline.formats.base import fault_kind
from pipeline.formats.structured.text_pairs import TextPairs
from pipeline.scaffold import choices, forms, profile
from pipeline.scaffold.choices import Bounds
from pipeline.scaffold.render import Code, Plan, safe_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.formats.columns import Column
    from pipeline.tables.dialect import Dialect

ROOT = Path("/")  # the paths are absolute here
COMPARED = 500  # pairs by which copying the source is measured
# BLEU or chrF: what a network must reach, by how much it must be above copying, what copying must not reach, the most.
LEAST_SCORE, GAIN, MOST_COPIED, PERFECT = 5.0, 5.0, 99.9, 100.0
SHOWN = 12  # columns
PIECES, FEWEST_PIECES = 4000, 500
PAIRS_PER_PIECE = 5
STEPS, BATCH = 4000, 48  # of a training
MOST_EPOCHS = 60


def plan_pairs(path: Path, name: str, dialect: Dialect | None = None) -> Plan:
    """Plans a recipe for two columns of text.

    Args:
        path: The table; absolute.
        name: Name of the column with the translations; may be empty.
        dialect: What is known of how a CSV file is written.

    Raises:
        UsageError: It is not clear which columns are meant.
        PipelineError: There is too little to learn from.
    """
    form, columns = forms.find_form(path, dialect).inspect(path)
    source, target = choose_columns(columns, name)
    written = {key: value for key, value in form.written.items() if key in ("encoding", "delimiter")}
    arguments: dict[str, Any] = {"path": str(path), "source": source.name, "target": target.name, **written}
    pairs, kinds, first = read_pairs(TextPairs(**arguments))
    facts = profile.fault_facts(path, len(pairs), kinds.total(), first, kinds)
    facts |= _facts(path, len(pairs), arguments) | {"bounds": copy_bounds(pairs)}
    rows = [(safe_name(column.name), role) for column, role in ((source, "source"), (target, "translation"))]
    notes = [f"{safe_name(target.name)} is answered to {safe_name(source.name)}; --target names another answer."]
    notes += profile.describe_faults(len(pairs), kinds.total(), first, kinds)
    return form.tell(Plan("translation", facts, ("column", "used as"), rows, notes))


def read_pairs(data: TextPairs) -> tuple[list[tuple[str, str]], Counter[str], str]:
    """Returns the pairs of texts, how many rows are none by why, and the first of these with its place."""
    pairs, kinds, first = [], Counter[str](), ""
    for example in data.examples(ROOT):
        features: Any = example.features
        if example.fault:
            kinds[fault_kind(example.fault)] += 1
            first = first or f"{example.source}: {example.fault}"
        else:
            pairs.append(
                (features["source"].decode(errors="replace"), features["target_text"].decode(errors="replace"))
            )
    return pairs, kinds, first


def _facts(path: Path, count: int, arguments: dict[str, Any]) -> dict[str, Any]:
    sizes = choices.choose_sizes(count)
    pieces = max(FEWEST_PIECES, min(PIECES, count // PAIRS_PER_PIECE // 100 * 100))
    return {
        "path": str(path),
        "file": safe_name(path.name),
        "rows": f"{count:,}",
        "classes": (),
        "sizes": sizes,
        "epochs": max(5, min(MOST_EPOCHS, STEPS * BATCH // count)),
        "pieces": pieces,
        "split": Code(f"Hash(eval={sizes.eval}, test={sizes.test})"),
        "split_words": "split by hash of the content",
        "title": f"{safe_name(arguments['source'])} to {safe_name(arguments['target'])}, with a small transformer.",
        "words": f"At most {pieces:,} pieces of words of each language.",
        "arguments": arguments,
    }


def choose_columns(columns: Sequence[Column], name: str) -> tuple[Column, Column]:
    """Returns the columns of the source and of the translation.

    Raises:
        UsageError: There are not two columns of text, or it is not clear which are meant.
    """
    texts = [column for column in columns if column.kind == "bytes" and not column.constant and not column.date]
    target = next((column for column in texts if column.name == name), None)
    others = [column for column in texts if column is not target]
    if (name and target is None) or len(others) != (1 if name else 2):
        raise UsageError(
            "It is not clear which text is to be answered with which.",
            expected="a table of two columns of text, or --target with one of them",
            received=f"--target {name}; " * bool(name)
            + (", ".join(map(_describe_column, columns[:SHOWN])) or "a table without rows"),
            action="name a column of text with --target" if len(texts) > 1 else "name a table with two columns of text",
        )
    return (others[0], target) if target else (others[0], others[1])


def _describe_column(column: Column) -> str:
    use = (
        "dates" if column.date else {"int": "numbers", "float": "numbers", "bytes": "text"}.get(column.kind, "no text")
    )
    return f"{safe_name(column.name)} ({'the same in every row' if column.constant else use})"


def copy_bounds(pairs: Sequence[tuple[str, str]]) -> Bounds:
    """Returns a gate that asks for more than a copy of the source reaches, and for no more than can be reached.

    BLEU counts sequences of four words: of shorter texts even a perfect translation has none, and chrF is measured.

    Raises:
        PipelineError: A copy is already the translation.
    """
    sample = pairs[:: -(-len(pairs) // COMPARED)]
    name, label, copied = _measure_copy([source for source, _ in sample], [target for _, target in sample])
    if copied >= MOST_COPIED:
        raise _same_error(pairs)
    bound = max(LEAST_SCORE, min(copied + GAIN, (copied + PERFECT) / 2))
    return Bounds(
        f"A copy of the source has {label} {copied:.1f}.",
        f"a copy of the source has {copied:.1f}",
        at_least={name: math.floor(100 * bound) / 100},
        no_worse={name: 0.5},
        quick={name: 0.0},
    )


def _measure_copy(sources: Sequence[str], targets: Sequence[str]) -> tuple[str, str, float]:
    """Returns the metric that a perfect translation has all of, in the recipe and in words, and what a copy has."""
    from pipeline.evaluation.metrics.translation import bleu, chrf

    whole = bleu(targets, targets).value >= MOST_COPIED
    value = (bleu if whole else chrf)(targets, sources).value
    return ("bleu", "BLEU", value) if whole else ("chrf", "chrF", value)


def _same_error(pairs: Sequence[tuple[str, str]]) -> PipelineError:
    same = sum(source == target for source, target in pairs)
    return PipelineError(
        "Both columns are the same: there is nothing to translate.",
        expected="a column of texts, and one of what they are to be answered with",
        received=f"{same:,} of {len(pairs):,} pairs with equal texts, such as {pairs[0][0][:80]!r}",
        action="name another table with --data, or another column with --target",
    )
