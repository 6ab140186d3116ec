"""IMDB: which archive is read, and what of it."""

from __future__ import annotations

import io
import tarfile
from collections import Counter

import pytest

from pipeline.datasets import imdb
from pipeline.datasets.imdb import IMDB, LABELLED, ORIGINAL
from pipeline.errors import PipelineError

REVIEWS = {
    "aclImdb/README": "about",
    "aclImdb/imdb.vocab": "the",
    "aclImdb/test/urls_neg.txt": "http",
    "aclImdb/test/neg/0_2.txt": "Bad.<br /><br />Very bad.",
    "aclImdb/train/unsup/0_0.txt": "Seen.",
    "aclImdb/train/neg/1_1.txt": "Dull.",
    "aclImdb/train/pos/1_9.txt": "Good.",
}


@pytest.fixture
def put(tmp_path):
    def write(name, kind):
        (tmp_path / "imdb").mkdir(exist_ok=True)
        with tarfile.open(tmp_path / "imdb" / name, f"w:{kind}") as archive:
            for path, text in REVIEWS.items():
                member = tarfile.TarInfo(path)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))

    return write


@pytest.mark.parametrize(("name", "kind"), [(ORIGINAL, "gz"), (LABELLED, "xz")])
def test_labelled_reviews_with_their_splits(put, tmp_path, name, kind):
    put(name, kind)
    assert [tmp_path / "imdb" / name] == IMDB.files(tmp_path)
    found = [(e.split, e.features["label"], e.features["text"], e.fault) for e in IMDB.examples(tmp_path)]
    assert [
        ("test", b"neg", b"Bad.<br /><br />Very bad.", ""),
        ("train", b"neg", b"Dull.", ""),
        ("train", b"pos", b"Good.", ""),
    ] == found


def test_not_there(tmp_path, monkeypatch):
    source = (tmp_path / "nowhere").as_uri()
    monkeypatch.setattr(imdb, "SOURCE", source)
    with pytest.raises(PipelineError, match=r"aclImdb_v1\.tar\.gz does not exist and could not") as caught:
        IMDB.files(tmp_path)
    assert source in str(caught.value)


@pytest.mark.heavy
def test_all_reviews(shared_data):
    if not (shared_data / "imdb").exists():
        pytest.skip(f"no imdb in {shared_data}")
    found = Counter((e.split, e.features["label"].decode(), e.fault) for e in IMDB.examples(shared_data))
    assert {(split, label, ""): 12500 for split in ("train", "test") for label in IMDB.classes} == found
