"""Ingest: rows of a data set become serialized `tf.train.Example`s in the splits train, eval and test.

TFX's ExampleGens read CSV, TFRecord and BigQuery and split by hash of the serialized row, label included. Images and
official test sets need this component.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples

from pipeline.errors import PipelineError
from pipeline.features import drawing, targets
from pipeline.formats.base import Dataset, Example, fault_kind
from pipeline.formats.tfrecord import TEST_TIMES_FILE, encode_example, write_tables
from pipeline.recipe import Recipe
from pipeline.recipes import catalog
from pipeline.recipes.declaration import require_declaration
from pipeline.steps.precision import NumberSample
from pipeline.steps.splits import choose_split, find_borders, fraction
from pipeline.store import fileio
from pipeline.tables.names import require_input_names


class Row(NamedTuple):
    """A row with its split.

    Attributes:
        split: "train", "eval" or "test".
        part: Its `fraction`.
        features: Raw values by name.
        ends: ISO time of the end of a window of a time series; empty for other rows.
    """

    split: str
    part: float
    features: Mapping[str, Any]
    ends: str = ""


SPLITS = ("train", "eval", "test")
MAX_SHOWN = 5
REPORT = "report.json"
SAMPLES = "samples.json"
SHOWN_PICTURES = 8


@dataclass
class Report:
    """The report on a data set: rows per split and class, and the unusable rows, each with its reason.

    `sound` counts the usable rows before --quick takes its sample, `straddling` the windows among them that cross a
    border between splits and are dropped, `left_out` the entries of targets that did not fit their declared bound,
    `repeated` those that came twice and are kept once, `kinds` the unusable rows by why,
    `coarse` the columns of which float32 keeps little.
    """

    sound: int = 0
    straddling: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    coarse: list[str] = field(default_factory=list)


class UnusableRowsError(PipelineError):
    """Too many rows are bad, or a split has none; has the report on all rows."""

    def __init__(self, report: Report, what: str, **details: Any) -> None:
        super().__init__(what, **details)
        self.report = report


def check_rows(examples: Iterable[Example], data: Dataset, report: Report) -> Iterator[Example]:
    """Yields the usable rows, their targets padded, and adds the others to the report."""
    kinds = targets.target_kinds(data)
    for example in examples:
        label = example.features.get(data.label, b"")
        name = label.decode(errors="replace") if isinstance(label, bytes) else str(label)
        fault = example.fault or targets.find_fault(example.features, kinds)
        if not fault and data.classes and name not in data.classes:
            fault = f"label {name!r} is not among the declared classes {', '.join(data.classes)}"
        if fault:
            report.bad.append(f"{example.source}: {fault}")
            report.kinds[fault_kind(fault)] += 1
            continue
        report.sound += 1
        report.repeated += example.repeated
        if data.classes:
            report.classes[name] += 1
        yield _pad_targets(example, kinds, report) if kinds else example


def _pad_targets(example: Example, kinds: Mapping[str, str], report: Report) -> Example:
    features, left_out = targets.pad_targets(example.features, kinds)
    report.left_out.update(left_out)
    return replace(example, features=features)


def assign_splits(
    examples: Iterable[Example], recipe: Recipe, report: Report, borders: Mapping[Any, Any] | None = None
) -> Iterator[Row]:
    """Yields rows with their split and a fraction in [0, 1), uniform within each split; `borders` of `find_borders`."""
    answer = targets.answer_names(recipe.data)
    for example in examples:
        part = fraction(example.features, answer)
        split = choose_split(example, part, recipe, borders)
        if split:
            yield Row(split, part, example.features, example.ends if example.ends != example.begins else "")
        else:
            report.straddling += 1


def sample_rows(rows: Iterable[Row], limits: dict[str, int]) -> Iterator[Row]:
    """Yields the rows with the smallest fractions of each split: a sample that does not depend on the order."""
    samples: dict[str, list[Any]] = {split: [] for split in SPLITS}
    for number, row in enumerate(rows):
        item = (-row.part, number, row)
        if len(samples[row.split]) < limits[row.split]:
            heapq.heappush(samples[row.split], item)
        else:
            heapq.heappushpop(samples[row.split], item)
    for items in samples.values():
        yield from (row for _, _, row in sorted(items, key=lambda item: item[1]))


def write_splits(rows: Iterable[Row], folder: Path) -> Counter[str]:
    """Writes rows as TFRecords, one file per split, and counts them.

    Encoded images do not shrink further, so the files are not compressed. The times of test windows go to a file.
    """
    import tensorflow as tf

    counts: Counter[str] = Counter()
    writers = {}
    for split in SPLITS:
        (folder / f"Split-{split}").mkdir(parents=True, exist_ok=True)
        writers[split] = tf.io.TFRecordWriter(str(folder / f"Split-{split}" / "examples.tfrecord"))
    ends = []
    for row in rows:
        writers[row.split].write(encode_example(row.features))
        counts[row.split] += 1
        ends += [row.ends] if row.split == "test" else []
    for writer in writers.values():
        writer.close()
    if any(ends):
        fileio.write_json(folder / TEST_TIMES_FILE, ends)
    return counts


def require_rows(report: Report, bad_share: float, where: str) -> None:
    """Raises an UnusableRowsError if more rows are bad than the recipe allows, or a split is empty."""
    total = len(report.bad) + report.sound
    if report.bad and len(report.bad) > bad_share * total:
        lines = report.bad[:MAX_SHOWN] + [f"… and {len(report.bad) - MAX_SHOWN} more"] * (len(report.bad) > MAX_SHOWN)
        raise UnusableRowsError(
            report,
            f"{len(report.bad)} of {total} rows of {where} cannot be used.",
            expected=f"at most {bad_share:.1%} bad rows",
            received="\n  " + "\n  ".join(lines),
            action="correct or remove them (report.json in the run's folder lists all), "
            "or allow a share with bad_share= in the recipe",
        )
    empty = [split for split in SPLITS if not report.rows[split]]
    if empty:
        raise UnusableRowsError(
            report,
            f"{where} gives no rows for {' and '.join(empty)}.",
            expected="at least one row in each of train, eval and test",
            received=f"{total} rows in all" + (f", {dict(report.rows)}" if total else ""),
            action="add data, or correct the recipe's path or split",
        )


def _keep_first(rows: Iterable[Row], first: list[Mapping[str, Any]]) -> Iterator[Row]:
    """Yields rows, and adds the first ones of train to a list."""
    for row in rows:
        if row.split == "train" and len(first) < SHOWN_PICTURES:
            first.append(row.features)
        yield row


def ingest(recipe: Recipe, data: Path, folder: Path, *, quick: bool) -> Report:
    """Reads, checks, splits and writes a recipe's data set."""
    require_input_names(recipe.data.inputs)  # before the training, not after it
    require_declaration(recipe)
    report = Report()
    usable = check_rows(recipe.data.examples(data), recipe.data, Report())  # reads nothing until it is asked
    borders = find_borders(usable, recipe.split)
    numbers = NumberSample(recipe.data)
    sound = numbers.watch(check_rows(recipe.data.examples(data), recipe.data, report))
    rows = assign_splits(sound, recipe, report, borders)
    if quick:
        other = recipe.quick.other_rows
        rows = sample_rows(rows, {"train": recipe.quick.train_rows, "eval": other, "test": other})
    shown: list[Mapping[str, Any]] = []
    report.rows = write_splits(_keep_first(rows, shown), folder)
    if pictures := drawing.encode_truths(shown, getattr(recipe.data, "names", ())):
        fileio.write_json(folder / SAMPLES, pictures)
    if hasattr(recipe.data, "tables"):
        write_tables(folder, recipe.data.tables(data))
    require_rows(report, recipe.bad_share, ", ".join(map(str, recipe.data.files(data)[:2])))
    report.coarse = numbers.require_fine()
    return report


@component
def Ingest(  # noqa: N802  (TFX names components like classes)
    examples: OutputArtifact[Examples],
    recipe: Parameter[str],
    data: Parameter[str],
    quick: Parameter[int],
    digest: Parameter[str],  # noqa: ARG001  (code and data, for TFX's cache)
) -> None:
    """Writes the splits of a recipe's data set as TFRecords, with report.json."""
    folder = Path(examples.uri)
    report = ingest(catalog.load_recipe(Path(recipe)), Path(data), folder, quick=bool(quick))
    fileio.write_json(folder / REPORT, vars(report))
    examples.split_names = '["train", "eval", "test"]'
