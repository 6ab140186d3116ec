"""The benchmark of tables: how a result is read, and where the network stands."""

from __future__ import annotations

import pytest

from benchmarks import tables, twelve_tables


def outcome(metric, network, trees):
    models = [
        {"name": "linear model", "metrics": {metric: 9.0}, "seconds": 0.1},
        {"name": "gradient boosting", "metrics": {metric: trees}, "seconds": 0.2},
    ]
    return twelve_tables.read_outcome(
        "t", {"baselines": {"metric": metric, "models": models}, "metrics": {metric: network}}, 1.0
    )


@pytest.mark.parametrize(
    ("metric", "network", "words"),
    [
        ("mae", 1.9, "ahead"),
        ("mae", 2.09, "within 5 %"),
        ("mae", 2.2, "behind"),
        ("auc", 2.1, "ahead"),
        ("auc", 1.95, "within 5 %"),
        ("auc", 1.8, "behind"),
    ],
)
def test_the_network_is_ahead_near_or_behind(metric, network, words):
    found = outcome(metric, network, 2.0)
    assert ("t", metric, "9.0000", words) == (found.row()[0], found.row()[1], found.row()[4], found.words)


def test_there_are_twelve_tables_and_those_of_packages_are_written(tmp_path):
    assert 12 == len(tables.TABLES)
    for name in ("iris", "wine", "diabetes", "boston", "taxi_fare"):
        tables.write_table(name, tmp_path, tmp_path / "t.csv")
        head, *rows = (tmp_path / "t.csv").read_text().splitlines()
        assert tables.TABLES[name].target in head.split(",")
        assert len(rows) >= 150


def test_the_page_keeps_the_rows_of_other_tables(tmp_path):
    page = tmp_path / "page.md"
    iris, wine, again = (
        ("iris", "accuracy", "0.9", "0.9", "0.9", "1.0", "ahead"),
        ("wine", "accuracy", "0.8", "0.9", "0.9", "0.89", "behind"),
        ("wine", "accuracy", "0.95", "0.9", "0.9", "1.06", "ahead"),
    )
    twelve_tables.keep_rows([wine, iris], page)
    assert "1 of 2 within 5 %" in page.read_text()
    twelve_tables.keep_rows([again], page)
    lines = page.read_text().splitlines()
    assert [f"| {' | '.join(row)} |" for row in (iris, again)] == lines[-2:]
    assert "2 of 2 within 5 %" in page.read_text()
