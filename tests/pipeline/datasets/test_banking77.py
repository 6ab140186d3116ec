"""BANKING77: both files, and the declared intents."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from pipeline.datasets.banking77 import BANKING77, INTENTS
from pipeline.errors import PipelineError
from pipeline.steps.ingest import Report, check_rows


def put(folder, name, rows):
    (folder / "banking77").mkdir(exist_ok=True)
    (folder / "banking77" / name).write_text("text,category\n" + rows, "utf-8")


def test_questions_with_commas_and_their_splits(tmp_path):
    put(tmp_path, "train.csv", 'Where is my card?,card_arrival\n"My PIN, please.",change_pin\n')
    put(tmp_path, "test.csv", "Naïve €?,exchange_rate\n")
    found = [
        (row.split, row.features["text"].decode(), row.features["category"]) for row in BANKING77.examples(tmp_path)
    ]
    assert [
        ("train", "Where is my card?", b"card_arrival"),
        ("train", "My PIN, please.", b"change_pin"),
        ("test", "Naïve €?", b"exchange_rate"),
    ] == found


def test_an_intent_that_is_not_declared_is_reported(tmp_path):
    put(tmp_path, "train.csv", "Hello?,greeting\n")
    put(tmp_path, "test.csv", "Where is it?,card_arrival\n")
    report = Report()
    assert 1 == len(list(check_rows(BANKING77.examples(tmp_path), BANKING77, report)))
    assert "label 'greeting' is not among the declared classes" in report.bad[0]


def test_not_there(tmp_path):
    with pytest.raises(PipelineError, match=r"train\.csv"):
        BANKING77.files(tmp_path)


def test_all_questions(shared_data):
    rows = list(BANKING77.examples(shared_data))
    assert {"train": 10003, "test": 3080} == Counter(row.split for row in rows)
    assert not any(row.fault for row in rows)
    assert set(INTENTS) == {row.features["category"].decode() for row in rows}
    assert list(INTENTS) == json.loads((shared_data / "banking77/categories.json").read_text())
