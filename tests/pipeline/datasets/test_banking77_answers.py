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


def test_intents_are_targets_and_one_question_in_three_is_left_out(tmp_path):
    data = BankingAnswers()
    rows = list(data.examples(write(tmp_path)))
    train = [row for row in rows if row.split == "train"]
    assert [b"question 0", b"question 1", b"question 3"] == [row.features["text"] for row in train[:3]]
    assert 6 == len(train)
    assert 9 == len(rows) - len(train)
    assert {b"card_arrival"} == {row.features["intent"] for row in rows}
    assert all(row.features.keys() == {"text", "intent"} for row in rows)


def test_all_can_be_had(tmp_path):
    assert 18 == len(list(BankingAnswers(left_out=0).examples(write(tmp_path))))
    assert BANKING77.files(tmp_path) == BankingAnswers().files(tmp_path)
