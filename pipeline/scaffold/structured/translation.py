"""Recipes that translate: two columns of text in a table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
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
LEAST_BLEU, GAIN = 5.0, 5.0  # BLEU that a network must reach, and by how much it must be above copying
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
    pairs, faults = read_pairs(TextPairs(**arguments))
    first = next(iter(faults), "")
    facts = profile.fault_facts(path, len(pairs), len(faults), first)
    facts |= _facts(path, len(pairs), arguments) | {"bounds": copy_bounds(pairs[:COMPARED])}
    rows = [(safe_name(column.name), role) for column, role in ((source, "source"), (target, "translation"))]
    notes = [f"{safe_name(target.name)} is answered to {safe_name(source.name)}; --target names another answer."]
    notes += profile.describe_faults(len(pairs), len(faults), first, Counter(map(profile.fault_kind, faults)))
    return form.tell(Plan("translation", facts, ("column", "used as"), rows, notes))


def read_pairs(data: TextPairs) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns the pairs of texts, and the faults of the rows that are none, each with its place."""
    pairs, faults = [], []
    for example in data.examples(ROOT):
        features: Any = example.features
        if example.fault:
            faults.append(f"{example.source}: {example.fault}")
        else:
            pairs.append(
                (features["source"].decode(errors="replace"), features["target_text"].decode(errors="replace"))
            )
    return pairs, faults


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
            received=f"--target {name}" if name else ", ".join(safe_name(column.name) for column in texts) or "no text",
            action="leave only the two columns in the file",
        )
    return (others[0], target) if target else (others[0], others[1])


def copy_bounds(pairs: Sequence[Sequence[str]]) -> Bounds:
    """Returns a gate that asks for more than a copy of the source reaches."""
    from pipeline.evaluation.metrics.translation import bleu

    copied = bleu([target for _, target in pairs], [source for source, _ in pairs]).value
    return Bounds(
        f"A copy of the source has BLEU {copied:.1f}.",
        f"a copy of the source has {copied:.1f}",
        at_least={"bleu": round(max(LEAST_BLEU, copied + GAIN), 1)},
        no_worse={"bleu": 0.5},
        quick={"bleu": 0.0},
    )
