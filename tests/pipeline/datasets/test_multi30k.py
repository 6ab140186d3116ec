"""Multi30k: pairs of lines, and what makes a pair unusable."""

from __future__ import annotations

import gzip
from collections import Counter

import pytest

from pipeline.datasets.multi30k import MULTI30K, PARTS
from pipeline.errors import PipelineError


@pytest.fixture
def put(tmp_path):
    def write(**texts):
        for name in PARTS:
            for language in ("en", "de"):
                path = tmp_path / "multi30k" / f"{name}.{language}.gz"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(gzip.compress(texts.get(f"{name}_{language}", f"{language} of {name}.\n").encode()))
        return tmp_path

    return write


def rows(data):
    return [(e.split, e.features["source"], e.features["target_text"], e.fault) for e in MULTI30K.examples(data)]


def test_pairs_with_their_splits(put):
    found = rows(put(train_en="A man.\nTwo.\n", train_de="Ein Mann.\nZwei.\n"))
    assert [("train", b"A man.", b"Ein Mann.", ""), ("train", b"Two.", b"Zwei.", "")] == found[:2]
    assert ["train", "test"] == [split for split, *_ in found[2:]]


def test_other_numbers_of_lines(put):
    data = put(val_en="A man.\nTwo.\n", val_de="Ein Mann.\n")
    with pytest.raises(PipelineError, match=r"val\.en\.gz and val\.de\.gz do not belong together") as caught:
        rows(data)
    assert "2 and 1 lines" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", "no text, the sentence is empty"),
        ("  ", "no text, only white space"),
        ("word " * 10_000, "10,000 words, expected at most 256"),
    ],
    ids=["empty", "blank", "long"],
)
def test_unusable_sentences(put, line, fault):
    found = rows(put(train_en=f"A man.\n{line}\n", train_de="Ein Mann.\nZwei.\n"))
    assert ["", fault] == [row[-1] for row in found[:2]]
    found = rows(put(train_de=f"Ein Mann.\n{line}\n", train_en="A man.\nTwo.\n"))
    assert ["", fault] == [row[-1] for row in found[:2]]


def test_damaged_file(put):
    data = put()
    path = data / "multi30k" / "train.en.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(PipelineError, match="cannot be read completely"):
        rows(data)


def test_all_pairs(shared_data):
    if not (shared_data / "multi30k").exists():
        pytest.skip(f"no multi30k in {shared_data}")
    assert {("train", ""): 30_014, ("test", ""): 1000} == Counter((row[0], row[-1]) for row in rows(shared_data))
