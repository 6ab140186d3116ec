"""The truth table lies in each split as a whole."""

from __future__ import annotations

from pipeline.datasets.xor import TABLE, XOR
from pipeline.recipes import catalog
from pipeline.settings import ROOT
from pipeline.steps.ingest import SPLITS, Report, assign_splits, check_rows

ROWS = {(float(x), float(y), str(label).encode()) for x, y, label in TABLE}


def test_the_table_is_exclusive_or():
    assert {(x, y, x ^ y) for x in (0, 1) for y in (0, 1)} == set(TABLE)


def test_every_split_holds_the_whole_table_and_the_test_nothing_else(tmp_path):
    recipe, report = catalog.load_recipe(ROOT / "models" / "xor.py"), Report()
    found: dict[str, list] = {split: [] for split in SPLITS}
    for split, _, features, _ in assign_splits(check_rows(XOR.examples(tmp_path), XOR, report), recipe, report):
        found[split].append((features["x"], features["y"], features["xor"]))
    assert dict.fromkeys(SPLITS, ROWS) == {split: set(rows) for split, rows in found.items()}
    assert len(TABLE) == len(found["test"])
    assert [] == report.bad


def test_copies_are_no_input():
    assert {"x", "y"} == set(XOR.inputs)
