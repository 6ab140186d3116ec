"""BANKING77 with intents as texts."""

from __future__ import annotations

from pipeline.datasets.banking77 import BANKING77
from pipeline.datasets.banking77_answers import BankingAnswers


def write(folder, rows=9):
    (folder / "banking77").mkdir()
    for name in ("train", "test"):
        lines = [f"question {number},card_arrival\n" for number in range(rows)]
        (folder / "banking77" / f"{name}.csv").write_text("text,category\n" + "".join(lines))
    return folder


def test_intents_are_targets(tmp_path):
    data = BankingAnswers()
    rows = list(data.examples(write(tmp_path)))
    assert [b"question 0", b"question 1"] == [row.features["text"] for row in rows if row.split == "train"][:2]
    assert 18 == len(rows)
    assert {b"card_arrival"} == {row.features["intent"] for row in rows}
    assert all(row.features.keys() == {"text", "intent"} for row in rows)
    assert BANKING77.files(tmp_path) == data.files(tmp_path)
