"""A recipe over a table: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

from dataclasses import replace
from statistics import median, pstdev
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.formats.csv import Csv
from pipeline.formats.jsonl import JsonLines
from pipeline.formats.parquet import Parquet
from pipeline.formats.read_table import table_format
from pipeline.scaffold import baseline, choices, files, forms, leaks, outliers, profile, series, target, timeline
from pipeline.scaffold.profile import fault_facts, require_rows
from pipeline.scaffold.render import Code, Plan, draw_diagram, list_names, safe_name
from pipeline.scaffold.structured.interaction_columns import is_log
from pipeline.scaffold.structured.recommendation import plan_columns
from pipeline.tables.date_span import find_span
from pipeline.tables.dialect import Dialect
from pipeline.tables.names import make_identifiers

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.formats.columns import Column
    from pipeline.scaffold.choices import Role
    from pipeline.scaffold.outliers import Limits
    from pipeline.scaffold.profile import Profile

TABLE_HEAD = ("column", "kind", "missing", "distinct", "used as")
FORMATS = {"csv": Csv, "jsonl": JsonLines, "parquet": Parquet}
DEFAULT_TEXT_LENGTH, MAX_TEXT_LENGTH = 32, 400
MAX_SHOWN_CLASSES = 10
NUMERIC_GROUPS = ("numbers", "booleans", "dates", "vectors")
NAMED_GROUPS = ("categories", "keys", "counts")
MAX_SEPARATE, MAX_SEPARATE_TEXTS = 24, 2  # columns with a vocabulary each; more share one: Transform takes 0.5 s, 1.7 s
MAX_EMBEDDED = 200  # columns whose numbers get a vector each; for more the first layer would be too large
NUMERIC_USES = ("number", "amount", "count")


def plan_table(path: Path, name: str, task: str, dialect: Dialect | None = None) -> Plan:
    """Plans a recipe for a table.

    Args:
        path: File, or folder of Parquet files; absolute.
        name: Name of the target; may be empty.
        task: Value of --task; may be empty.
        dialect: What is known of how a CSV file is written.

    Raises:
        PipelineError: Nothing can be learnt from it, or it is not clear what.
    """
    form, columns = forms.find_form(path, dialect).inspect(path)
    if not name and not task and is_log(columns):
        return plan_columns(path, form, columns)
    _require_columns(path, columns)
    goal, choice = target.find_target(columns, name)
    said = Dialect(**form.written) if form.written else None
    times = series.find_times(path, columns, goal, task, said)
    if isinstance(times, series.Times) and task in ("", target.FORECASTING):
        return form.tell(series.plan_series(path, times, columns, goal, choice))
    decided, why = target.choose_task(goal, task)
    dated = decided == target.REGRESSION and not task and any(column.date or column.time_form for column in columns)
    words = why + f"; no forecast, for {times}" * dated + f"; {choice}" * bool(choice)
    return form.tell(_plan_rows(path, columns, goal, decided, words, form.options(columns)))


def _require_columns(path: Path, columns: list[Column]) -> None:
    if len(columns) < 2:  # noqa: PLR2004
        raise PipelineError(
            f"{path} is no table to learn from.",
            expected="a header, and at least two columns: one to predict, one to predict it from",
            received=f"the column {safe_name(columns[0].name)} only" if columns else "no rows",
            action="give a file with a header line and rows below it",
        )
    require_rows(path, max(column.rows for column in columns))


def _plan_rows(path: Path, columns: list[Column], goal: Column, task: str, why: str, options: dict[str, Any]) -> Plan:
    classification = task == target.CLASSIFICATION
    usable = {c.name: c.kind for c in columns if c.kind and c is not goal}
    data = FORMATS[table_format(path)](
        str(path), usable, goal.name, extra={goal.name: "bytes" if classification else "float"}, **options
    )
    summary = profile.profile_data(data)
    if marks := profile.find_no_labels(summary.classes):
        options = options | {"missing": (*data.missing, *marks)}
        data = replace(data, **options)
        summary = profile.profile_data(data)
    faults = fault_facts(path, summary.rows, summary.faults, summary.first_fault, summary.reasons)
    limits, far = _clip_outliers(summary), outliers.find_limits(summary.target)
    if far:
        summary.target = [min(max(value, far.low), far.high) for value in summary.target]
    outliers.require_fine(goal.name, summary.target)
    classes = profile.sort_classes(list(summary.classes))
    # With its classes, so that every spelling of one counts.
    sample = baseline.read_sample(replace(data, classes=classes), summary.rows, classes)
    decided = outliers.drop_lost(choices.assign_roles(columns, goal, summary, leaks.find_images(sample)), sample)
    _require_inputs(goal, decided)
    used = [role for role in decided if role.use]
    few = profile.different_rows(data, [role.column.name for role in used], *_unread_words(decided))
    numeric = {role.column.name for role in used if role.use in NUMERIC_USES}
    limits = {name: limit for name, limit in limits.items() if name in numeric}
    common = _common_facts(path, goal, summary, classification=classification) | faults
    common |= {"options": options, "limits": limits}
    tested = summary.rows * common["sizes"].test
    usable_sample = sample.select(role.column.name for role in used)
    common["bounds"] = baseline.baseline_bounds(common["bounds"], usable_sample, tested)
    unusable = profile.describe_faults(summary.rows, summary.faults, summary.first_fault, summary.reasons)
    notes = [f"{safe_name(goal.name)} is the target: {task}, {why}.", *_class_notes(summary), *_copy_notes(decided)]
    notes += leaks.leak_notes(leaks.find_leaks(sample, decided), goal.name)
    notes += [f"{far.tell(goal.name)}; the spread and the bound pass over them: correct the data."] if far else []
    times = {role.column.name: sample.columns[role.column.name] for role in used if role.use == "date"}
    spans = {name: find_span(cells) for name, cells in times.items()}
    notes += [words for name, span in spans.items() for words in span.describe(safe_name(name))]
    common |= {"spans": {name: (f"{span.first}", f"{span.last}") for name, span in spans.items() if span.marks}}
    known = {name: spans[name].drop_marks(cells) for name, cells in times.items()}
    notes += timeline.describe_split(known, common["sizes"].eval, common["sizes"].test)
    notes += timeline.note_unread([column for column in columns if column is not goal])
    notes += [*few, *unusable, *(limit.describe(name) for name, limit in limits.items())]
    roles = {role.column.name: role for role in decided}
    rows = [_column_row(column, roles) for column in columns]
    if classification and [role.use for role in used] == ["text"]:
        only = used[0].column.name
        return files.plan_text_column(common, only, summary.words[only], TABLE_HEAD, rows, notes)
    return Plan("table", common | _table_facts(path, goal, used, summary, common), TABLE_HEAD, rows, notes)


def _require_inputs(goal: Column, decided: list[Role]) -> None:
    if not any(role.use for role in decided):
        raise PipelineError(
            f"No column is left to predict {safe_name(goal.name)} from.",
            expected="at least one column that is not constant, no number of the row and no copy of the target",
            received="; ".join(f"{safe_name(role.column.name)} {role.reason}" for role in decided),
            action=_mending_words(decided),
        )


def _mending_words(decided: list[Role]) -> str:
    """Returns how columns that cannot be read, or are perhaps times of a series, can be used."""
    words = "name another target with --target, or add columns"
    nested = [role.column.name for role in decided if not role.column.kind]
    if unread := _unread_words(decided)[1]:
        return f"{unread}; or {words}"
    words += f"; give each value within {list_names(nested)} a column of its own" if nested else ""
    named = any(role.column.id_like for role in decided)
    return words + f"; times, for a forecast, are written {timeline.WRITTEN}" * named


def _unread_words(decided: list[Role]) -> tuple[str, str]:
    """Returns which columns of times are left out, and what is to be done; empty where there are none."""
    unread = {role.column.name: role.reason for role in decided if role.column.time_form}
    said = "; ".join(f"{safe_name(name)} {reason}" for name, reason in unread.items())
    return said, f"write the times in {list_names([*unread])} as {timeline.WRITTEN}, also for a forecast" * bool(unread)


def _clip_outliers(summary: Profile) -> dict[str, Limits]:
    """Clips the values of each number, so that what is decided of it fits what the recipe makes of it."""
    limits = {name: limit for name, values in summary.numbers.items() if (limit := outliers.find_limits(values))}
    for name, limit in limits.items():
        summary.numbers[name] = [min(max(value, limit.low), limit.high) for value in summary.numbers[name]]
    return limits


def _class_notes(summary: Profile) -> list[str]:
    """The rows of the classes, the most frequent ones first."""
    counts = [f"{safe_name(name)} {count:,}" for name, count in summary.classes.most_common(MAX_SHOWN_CLASSES)]
    more = f" and {len(summary.classes) - MAX_SHOWN_CLASSES} more" if len(summary.classes) > MAX_SHOWN_CLASSES else ""
    merged = [f"{name!r} as {chosen!r}" for name, chosen in summary.spellings.items()]
    words = f"Spellings of one class: {list_names(merged)}; to keep them apart, name both in classes=."
    return [f"Classes: {', '.join(counts)}{more}."] * bool(counts) + [words] * bool(merged)


def _copy_notes(decided: list[Role]) -> list[str]:
    copies = [safe_name(role.column.name) for role in decided if "a copy of" in role.reason]
    return [f"{name} tells the target; if it is known before, add it to the recipe." for name in copies]


def _column_row(column: Column, decided: dict[str, Role]) -> tuple[str, ...]:
    role = decided.get(column.name)
    used = "target" if role is None else f"{role.use}: {role.reason}" if role.use else role.reason
    kind = "date" if column.date else column.kind or "nested"
    if role is None or role.use:
        used += profile.describe_odd(column)
    return safe_name(column.name), kind, str(column.missing), str(column.distinct), used


def _common_facts(path: Path, goal: Column, summary: Profile, *, classification: bool) -> dict[str, Any]:
    """Returns the values for all templates of tables."""
    sized = choices.choose_sizes(summary.rows)
    if classification:
        limits = choices.class_bounds(summary.classes, summary.rows * sized.test)
    else:
        limits = choices.number_bounds(summary.target)
    module = table_format(path)
    return {
        "path": str(path),
        "file": safe_name(path.name),
        "format": FORMATS[module].__name__,
        "module": module,
        "rows": f"{summary.rows:,}",
        "label": goal.name,
        "classes": profile.sort_classes(list(summary.classes)),
        "regression": not classification,
        "sizes": sized,
        "bounds": limits,
        "split": Code(f"Hash(eval={sized.eval}, test={sized.test})"),
        "split_words": "split by hash of the content",
        "rate": 2e-3,
        "count": summary.rows,
    }


def _table_facts(
    path: Path, goal: Column, used: list[Role], summary: Profile, common: dict[str, Any]
) -> dict[str, Any]:
    """Returns the further values for the template `table`."""
    called = make_identifiers([role.column.name for role in used] + [goal.name])
    groups = _column_groups(used, called, summary)
    numeric = any(groups[name] for name in ("numbers", "booleans", "dates", "vectors"))
    lengths = [text_length(summary.words.get(role.column.name, [])) for role in used if role.use == "text"]
    return {
        **groups,
        "renamed": {new: old for old, new in called.items() if old != new},
        "spans": {called[name]: span for name, span in common["spans"].items()},
        "limits": {called[name]: (limit.low, limit.high) for name, limit in common["limits"].items()},
        "numeric": numeric,
        "frequencies": 8 if sum(len(groups[name]) for name in NUMERIC_GROUPS) <= MAX_EMBEDDED else 0,
        "named": _named_groups(groups),
        "text_groups": [name.upper() for name in ("booleans", "categories", "dates", "texts") if groups[name]],
        "joint": sum(len(groups[name]) for name in NAMED_GROUPS) > MAX_SEPARATE,
        "joint_texts": len(groups["texts"]) > MAX_SEPARATE_TEXTS,
        "length": max(lengths, default=DEFAULT_TEXT_LENGTH),  # the longest column sets it: others are padded
        "middle": outliers.round_middle(median(summary.target), pstdev(summary.target)) if summary.target else 0.0,
        "spread": choices.round_significant(pstdev(summary.target)) if summary.target else 1.0,
        "title": _recipe_title(goal, used, path),
        "diagram": _table_diagram(groups, numeric=numeric, outputs=len(common["classes"])),
        "build_words": _build_words(groups, numeric=numeric, classes=bool(common["classes"])),
        "words": f"{common['bounds'].baseline}{_copy_words(goal)}",
    }


def text_length(words: list[int]) -> int:
    """So many words that nine tenths of the texts are read to their end, in steps of eight."""
    if not words:
        return DEFAULT_TEXT_LENGTH
    most = sorted(words)[int(0.9 * (len(words) - 1))]
    return min(max(-(-most // 8) * 8, 8), MAX_TEXT_LENGTH)


def _column_groups(used: list[Role], called: dict[str, str], summary: Profile) -> dict[str, Any]:
    def names(*uses: str) -> tuple[str, ...]:
        return tuple(called[role.column.name] for role in used if role.use in uses)

    numbers = [role for role in used if role.use in NUMERIC_USES]
    skewed = [role for role in numbers if choices.is_amount(summary.numbers.get(role.column.name, []))]
    return {
        "numbers": names(*NUMERIC_USES),
        "amounts": tuple(called[role.column.name] for role in skewed),
        "counts": names("count"),
        "gapped": tuple(called[role.column.name] for role in numbers if role.column.missing),
        "keys": names("key"),
        "categories": names("category"),
        "dates": names("date"),
        "texts": names("text"),
        "booleans": names("boolean"),
        "vectors": {called[role.column.name]: role.kind for role in used if role.use == "vector"},
    }


def _named_groups(groups: dict[str, Any]) -> str:
    """The groups that have a vocabulary of names, as source."""
    there = [name.upper() for name in NAMED_GROUPS if groups[name]]
    return there[0] if len(there) == 1 else f"({', '.join(f'*{name}' for name in there)})" if there else ""


def _recipe_title(goal: Column, used: list[Role], path: Path) -> str:
    inputs = "one column" if len(used) == 1 else f"{len(used)} columns"
    return f"Predicts {safe_name(goal.name)} from {inputs} of {safe_name(path.name)}."


def _table_diagram(groups: dict[str, Any], *, numeric: bool, outputs: int) -> str:
    """Draws the path of each group to the hidden layers."""
    named = [*groups["categories"], *groups["keys"], *groups["counts"]]
    numbers = [*groups["numbers"], *groups["booleans"], *groups["dates"], *groups["vectors"]]
    lines = [(list_names(named, 2), "vocabulary ─ embedding")] * bool(named)
    lines += [(list_names(list(groups["texts"]), 2), "words ─ embeddings ─ mean")] * bool(groups["texts"])
    lines += [(list_names(numbers, 2), "scaled")] * numeric
    return draw_diagram(lines, f"hidden layers ─ softmax ─ ({outputs})" if outputs else "hidden layers ─ (1)")


def _build_words(groups: dict[str, Any], *, numeric: bool, classes: bool) -> str:
    named = bool(groups["categories"] or groups["keys"] or groups["counts"] or groups["texts"])
    begin = "Embeddings and numbers" if named and numeric else "Embeddings" if named else "Numbers"
    return f"{begin}, hidden layers, {'softmax' if classes else 'the number in its own unit'}."


def _copy_words(goal: Column) -> str:
    return f" Rows with equal inputs are on one side of the split, also where {safe_name(goal.name)} differs."
