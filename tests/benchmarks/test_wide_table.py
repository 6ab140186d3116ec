"""The table that the benchmark of wide tables makes."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import wide_table  # noqa: E402


def test_the_table_has_numbers_names_and_texts(tmp_path):
    wide_table.write_table(tmp_path / "wide.csv", 10, 2, 30)
    with (tmp_path / "wide.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert [*(f"c{place}" for place in range(10)), "t0", "t1", "kind"] == head
    assert {13} == {len(row) for row in rows}
    assert 30 == len(rows)
    assert {"a", "b", "c", "d"} == {row[0] for row in rows}
    assert all(0 <= float(row[1]) <= 1 and len(row[10].split()) == 8 for row in rows)
    assert {"no", "yes"} == {row[-1] for row in rows}
