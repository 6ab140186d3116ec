from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import results  # noqa: E402
from benchmarks.measure import Row, in_turns  # noqa: E402


def test_ratio_is_taken_of_medians() -> None:
    row = Row("a", ours=[1.0, 9.0, 2.0], theirs=[4.0, 4.0, 100.0], at_most=0.5)
    assert row.ratio == 0.5
    assert row.reached is True


@pytest.mark.parametrize(
    ("row", "reached"),
    [
        (Row("seconds", ours=[0.4, 0.6, 0.4], at_most=0.5), True),
        (Row("seconds", ours=[0.6], at_most=0.5), False),
        (Row("speed", ours=[90.0], theirs=[100.0], at_least=0.95), False),
        (Row("speed", ours=[200.0], theirs=[100.0], at_least=0.95), True),
        (Row("skipped", at_most=0.5, note="no data"), None),
    ],
)
def test_reached(row: Row, reached: bool | None) -> None:
    assert row.reached is reached


def test_sides_take_turns() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return len(order)

    assert in_turns(2, lambda: side("ours"), lambda: side("theirs")) == ([1, 3], [2, 4])
    assert order == ["ours", "theirs", "ours", "theirs"]


def test_table_aligns_and_says_why_a_row_is_missing() -> None:
    rows = [
        results.as_json(Row("digits, cold", ours=[20.0], theirs=[40.0], at_most=0.8)),
        results.as_json(Row("keraspipe models", ours=[0.1], at_most=0.5)),
        results.as_json(Row("mnist", unit="", at_most=0.5, note="there is no mnist/")),
    ]
    assert results.table(rows).splitlines() == [
        "name              ours    theirs  ratio  target         met",
        "digits, cold      20.0 s  40.0 s  0.50   at most 0.8    yes",
        "keraspipe models  0.10 s                 at most 0.5 s  yes",
        "mnist                                    at most 0.5    skipped: there is no mnist/",
    ]
    assert results.markdown(rows).splitlines()[2] == "| digits, cold | 20.0 s | 40.0 s | 0.50 | at most 0.8 | yes |"


def test_results_of_the_same_machine_are_kept_next_to_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results.kept([results.as_json(Row("a", ours=[1.0])), results.as_json(Row("b", ours=[1.0]))], path)
    results.kept([results.as_json(Row("b", ours=[2.0]))], path)
    assert [(row["name"], row["ours"]) for row in results.read(path)["rows"]] == [("a", 1.0), ("b", 2.0)]
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "machine": {"cpu": "another"}}))
    results.kept([results.as_json(Row("c", ours=[3.0]))], path)
    assert [row["name"] for row in results.read(path)["rows"]] == ["c"]


@pytest.mark.process
def test_an_unknown_benchmark_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "digit_cold"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
    assert "no benchmark 'digit_cold'; expected some of light_commands, digits_cold" in done.stderr
