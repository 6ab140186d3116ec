"""A recipe over a table: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

from statistics import median, pstdev
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.formats import columns as table_columns
from pipeline.formats.csv import Csv
from pipeline.formats.jsonl import JsonLines
from pipeline.formats.parquet import Parquet
from pipeline.scaffold import choices, files, profile, series
from pipeline.scaffold.profile import require, share_of_faults
from pipeline.scaffold.render import Code, Plan, identifiers, joined, listed, plain

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.formats.columns import Column
    from pipeline.scaffold.choices import Role
    from pipeline.scaffold.profile import Profile

HEAD = ("column", "kind", "missing", "distinct", "used as")
FORMATS = {"csv": Csv, "jsonl": JsonLines, "parquet": Parquet}
DEFAULT_LENGTH, LONGEST = 32, 400
SHOWN = 10
NUMERIC = ("number", "amount", "count")


def plan(path: Path, name: str, task: str) -> Plan:
    """Looks at a table.

    Args:
        path: File, or folder of Parquet files; absolute.
        name: Of the target; may be empty.
        task: As asked for; may be empty.

    Raises:
        PipelineError: Nothing can be learnt from it, or it is not clear what.
    """
    found = table_columns.inspect_table(path)
    _require_columns(path, found)
    goal = profile.find(found, name)
    times = series.find(path, found, goal, task)
    if isinstance(times, series.Times) and task in ("", profile.FORECASTING):
        return series.plan(path, times, found, goal)
    decided, why = profile.task(goal, task)
    dated = decided == profile.REGRESSION and not task and any(column.date for column in found)
    return _plan(path, found, goal, decided, f"{why}; no forecast, for {times}" if dated else why)


def _require_columns(path: Path, found: list[Column]) -> None:
    if len(found) < 2:  # noqa: PLR2004
        raise PipelineError(
            f"{path} is no table to learn from.",
            expected="a header, and at least two columns: one to predict, one to predict it from",
            received=f"the column {plain(found[0].name)} only" if found else "no rows",
            action="give a file with a header line and rows below it",
        )
    require(path, max(column.rows for column in found))


def _plan(path: Path, columns: list[Column], goal: Column, task: str, why: str) -> Plan:
    classification = task == profile.CLASSIFICATION
    usable = {c.name: c.kind for c in columns if c.kind and c is not goal}
    data = dataset(path)(str(path), usable, goal.name, extra={goal.name: "bytes" if classification else "float"})
    found = profile.of(data)
    faults = share_of_faults(path, found.rows, found.faults, found.first_fault)
    decided = choices.assign_roles(columns, goal, found)
    _require_inputs(goal, decided)
    used = [role for role in decided if role.use]
    common = _common(path, goal, found, classification=classification) | faults
    notes = [f"{plain(goal.name)} is the target: {task}, {why}.", *_classes(found), *_notes(decided)]
    rows = [_row(column, goal, {role.column.name: role for role in decided}) for column in columns]
    if classification and [role.use for role in used] == ["text"]:
        return files.of_column(common, used[0].column.name, found.words[used[0].column.name], HEAD, rows, notes)
    return Plan("table", common | _facts(path, goal, used, found, common), HEAD, rows, notes)


def dataset(path: Path) -> type[Csv | JsonLines | Parquet]:
    """The data set for a file's ending."""
    ending = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
    json = ending.lower() in (".jsonl", ".ndjson", ".json")
    return Parquet if path.is_dir() or ending.lower() == ".parquet" else JsonLines if json else Csv


def _require_inputs(goal: Column, decided: list[Role]) -> None:
    if not any(role.use for role in decided):
        raise PipelineError(
            f"No column is left to predict {plain(goal.name)} from.",
            expected="at least one column that is not constant, no number of the row and no copy of the target",
            received="; ".join(f"{plain(role.column.name)} {role.reason}" for role in decided),
            action="name another target with --target, or add columns",
        )


def _classes(found: Profile) -> list[str]:
    """The rows of the classes, the most frequent ones first."""
    shown = [f"{plain(name)} {count:,}" for name, count in found.classes.most_common(SHOWN)]
    more = f" and {len(found.classes) - SHOWN} more" if len(found.classes) > SHOWN else ""
    return [f"Classes: {', '.join(shown)}{more}."] if shown else []


def _notes(decided: list[Role]) -> list[str]:
    copies = [plain(role.column.name) for role in decided if "a copy of" in role.reason]
    return [f"{name} tells the target; if it is known before, add it to the recipe." for name in copies]


def _row(column: Column, goal: Column, decided: dict[str, Role]) -> tuple[str, ...]:
    role = decided.get(column.name)
    used = (
        "target"
        if column is goal
        else f"{role.use}: {role.reason}"
        if role and role.use
        else role.reason
        if role
        else ""
    )
    kind = "date" if column.date else column.kind or "nested"
    return plain(column.name), kind, str(column.missing), str(column.distinct), used


def _common(path: Path, goal: Column, found: Profile, *, classification: bool) -> dict[str, Any]:
    """What every template over a table wants."""
    sized = choices.choose_sizes(found.rows)
    if classification:
        limits = choices.of_classes(found.classes, found.rows * sized.test)
    else:
        limits = choices.of_numbers(found.target)
    kind = dataset(path)
    return {
        "path": str(path),
        "file": plain(path.name),
        "format": kind.__name__,
        "module": next(name for name, one in FORMATS.items() if one is kind),
        "rows": f"{found.rows:,}",
        "label": goal.name,
        "classes": profile.classes(list(found.classes)),
        "regression": not classification,
        "sizes": sized,
        "bounds": limits,
        "split": Code(f"Hash(eval={sized.eval}, test={sized.test})"),
        "split_words": "split by hash of the content",
        "rate": 2e-3,
        "count": found.rows,
    }


def _facts(path: Path, goal: Column, used: list[Role], found: Profile, common: dict[str, Any]) -> dict[str, Any]:
    """What the template of tables wants beyond."""
    called = identifiers([role.column.name for role in used] + [goal.name])
    groups = _groups(used, called, found)
    numeric = bool(groups["numbers"] or groups["dates"] or groups["vectors"])
    lengths = [length(found.words.get(role.column.name, [])) for role in used if role.use == "text"]
    return {
        **groups,
        "renamed": {new: old for old, new in called.items() if old != new},
        "label": goal.name,
        "numeric": numeric,
        "named": _named(groups),
        "text_groups": [name.upper() for name in ("categories", "dates", "texts") if groups[name]],
        "amounts_expression": _numbers(groups),
        "length": max(lengths, default=DEFAULT_LENGTH),  # the longest column sets it: others are padded
        "middle": choices.rounded(median(found.target)) if found.target else 0.0,
        "spread": choices.rounded(pstdev(found.target)) if found.target else 1.0,
        "title": _title(goal, used, path),
        "diagram": _diagram(groups, numeric=numeric, outputs=len(common["classes"])),
        "build_words": _build_words(groups, numeric=numeric, classes=bool(common["classes"])),
        "words": f"{common['bounds'].baseline}{_copies(goal)}",
    }


def length(words: list[int]) -> int:
    """So many words that nine tenths of the texts are read to their end, in steps of eight."""
    if not words:
        return DEFAULT_LENGTH
    most = sorted(words)[int(0.9 * (len(words) - 1))]
    return min(max(-(-most // 8) * 8, 8), LONGEST)


def _groups(used: list[Role], called: dict[str, str], found: Profile) -> dict[str, Any]:
    def names(*uses: str) -> tuple[str, ...]:
        return tuple(called[role.column.name] for role in used if role.use in uses)

    numbers = [role for role in used if role.use in NUMERIC]
    skewed = [role for role in numbers if choices.is_amount(found.numbers.get(role.column.name, []))]
    return {
        "numbers": names(*NUMERIC),
        "amounts": tuple(called[role.column.name] for role in skewed),
        "counts": names("count"),
        "gapped": tuple(called[role.column.name] for role in numbers if role.column.missing),
        "keys": names("key"),
        "categories": names("category"),
        "dates": names("date"),
        "texts": names("text"),
        "vectors": {called[role.column.name]: role.kind for role in used if role.use == "vector"},
    }


def _named(groups: dict[str, Any]) -> str:
    """The groups that have a vocabulary of names, as source."""
    there = [name.upper() for name in ("categories", "keys", "counts") if groups[name]]
    return there[0] if len(there) == 1 else f"({', '.join(f'*{name}' for name in there)})" if there else ""


def _numbers(groups: dict[str, Any]) -> str:
    amount = "scaled(inputs[name], amount=name in AMOUNTS)" if groups["amounts"] else "scaled(inputs[name])"
    return f"[{amount} for name in NUMBERS]"


def _title(goal: Column, used: list[Role], path: Path) -> str:
    inputs = "one column" if len(used) == 1 else f"{len(used)} columns"
    return f"Predicts {plain(goal.name)} from {inputs} of {plain(path.name)}."


def _diagram(groups: dict[str, Any], *, numeric: bool, outputs: int) -> str:
    """The road of each group to the hidden layers."""
    named = [*groups["categories"], *groups["keys"], *groups["counts"]]
    numbers = [*groups["numbers"], *groups["dates"], *groups["vectors"]]
    lines = [(listed(named, 2), "vocabulary ─ embedding")] * bool(named)
    lines += [(listed(list(groups["texts"]), 2), "words ─ embeddings ─ mean")] * bool(groups["texts"])
    lines += [(listed(numbers, 2), "scaled")] * numeric
    return joined(lines, f"hidden layers ─ softmax ─ ({outputs})" if outputs else "hidden layers ─ (1)")


def _build_words(groups: dict[str, Any], *, numeric: bool, classes: bool) -> str:
    named = bool(groups["categories"] or groups["keys"] or groups["counts"] or groups["texts"])
    begin = "Embeddings beside numbers" if named and numeric else "Embeddings" if named else "Numbers"
    return f"{begin}, hidden layers, {'softmax' if classes else 'the number in its own unit'}."


def _copies(goal: Column) -> str:
    return f" Rows with equal inputs are on one side of the split, also where {plain(goal.name)} differs."
