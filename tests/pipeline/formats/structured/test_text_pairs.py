"""Two columns of text: which rows are pairs, and which cannot be used."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import PipelineError
from pipeline.formats.structured.text_pairs import MOST_WORDS, TextPairs

ROWS = [("a dog", "ein Hund"), ("two men", "zwei Männer"), ("", "leer"), ("empty", " "), ("word " * 2000, "lang")]


def write_csv(path, rows=ROWS, encoding="utf-8"):
    lines = ["en;de", *(f"{source};{target}" for source, target in rows)]
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))


def test_pairs_and_what_is_none(tmp_path):
    write_csv(tmp_path / "pairs.csv")
    data = TextPairs("pairs.csv", "en", "de")
    assert data.inputs == {"source": "bytes"}
    assert data.targets == {"target_text": "bytes"}
    rows = list(data.examples(tmp_path))
    assert rows[1].features == {"source": b"two men", "target_text": "zwei Männer".encode()}
    faults = [row.fault for row in rows]
    assert faults[:2] == ["", ""]
    assert faults[2] == "column en is empty"
    assert faults[3] == "column de is empty"
    assert faults[4] == f"column en has 2,000 words, expected at most {MOST_WORDS:,}"


def test_json_lines_and_an_official_test(tmp_path):
    for name, rows in (("train.jsonl", ROWS[:1]), ("test.jsonl", ROWS[1:2])):
        lines = [json.dumps({"en": source, "de": target}) for source, target in rows]
        (tmp_path / name).write_text("\n".join([*lines, '{"en": 5, "de": "fünf"}']) + "\n")
    rows = list(TextPairs("train.jsonl", "en", "de", test="test.jsonl").examples(tmp_path))
    assert ["train", "train", "test", "test"] == [row.split for row in rows]
    assert "column en is no text: 5" in rows[1].fault


def test_another_encoding_is_said(tmp_path):
    write_csv(tmp_path / "pairs.csv", ROWS[:2], "cp1252")
    rows = list(TextPairs("pairs.csv", "en", "de", encoding="cp1252").examples(tmp_path))
    assert rows[1].features["target_text"] == "zwei Männer".encode()


def test_a_column_that_is_not_there(tmp_path):
    write_csv(tmp_path / "pairs.csv")
    with pytest.raises(PipelineError, match="lacks the column fr"):
        list(TextPairs("pairs.csv", "en", "fr").examples(tmp_path))
