"""A folder or archive of texts per class."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.formats.folders import TextFolder

FILES = {
    "README.txt": b"about",
    "all/notes.md": b"no text",
    "all/test/pos/b.TXT": b"good",
    "all/train/neg/a.txt": b"bad",
    "all/train/neg/._a.txt": b"\xff",
    "all/train/unsup/a.txt": b"whatever",
    "all/train/urls.txt": b"http",
    "all/val/pos/a.txt": b"fine",
}
EXPECTED = [(b"good", b"pos", "test"), (b"bad", b"neg", "train"), (b"fine", b"pos", "train")]


def as_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def as_tar(path, files):
    kind = path.suffix.removeprefix(".").replace("tar", "")
    with tarfile.open(path, f"w:{kind}") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def as_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def read(path, **options):
    return list(TextFolder(str(path), ("neg", "pos"), **options).examples(path.parent))


@pytest.mark.parametrize(
    ("name", "write"),
    [("texts", as_folder), ("t.tar", as_tar), ("t.tar.gz", as_tar), ("t.tar.xz", as_tar), ("t.zip", as_zip)],
)
def test_texts_of_classes_with_their_splits(tmp_path, name, write):
    path = tmp_path / name
    write(path, FILES)
    found = read(path, without=("unsup",))
    assert EXPECTED == [(e.features["text"], e.features["label"], e.split) for e in found]
    assert {""} == {e.fault for e in found}
    assert [f"{path}/all/{part}" for part in ("test/pos/b.TXT", "train/neg/a.txt", "val/pos/a.txt")] == [
        e.source for e in found
    ]


def test_folders_without_a_level_of_splits(tmp_path):
    as_folder(tmp_path / "texts", {"pos/b.txt": b"1", "neg/a.txt": b"2"})
    assert [(b"neg", ""), (b"pos", "")] == [(e.features["label"], e.split) for e in read(tmp_path / "texts")]


def test_folder_that_nobody_left_out_is_a_class(tmp_path):
    as_folder(tmp_path / "texts", FILES)
    assert b"unsup" in {e.features["label"] for e in read(tmp_path / "texts")}


def test_unusable_text_carries_its_fault(tmp_path):
    as_folder(tmp_path / "texts", {"pos/a.txt": b"fi\xe9", "pos/b.txt": b"", "pos/c.txt": b"good"})
    faults = {e.source.rpartition("/")[2]: e.fault for e in read(tmp_path / "texts")}
    assert "not UTF-8: unexpected end of data at byte 2" == faults["a.txt"]
    assert "no text, the file is empty" == faults["b.txt"]
    assert "" == faults["c.txt"]


def test_one_text_after_the_other(tmp_path):
    path = tmp_path / "texts.tar"
    as_tar(path, {f"pos/{number}.txt": b"good" for number in range(3)})
    with path.open("r+b") as file:
        file.truncate(3 * 512)  # header and content of the first, header of the second
    found = TextFolder(str(path), ("pos",)).examples(tmp_path)
    assert isinstance(found, Iterator)
    assert b"good" == next(found).features["text"]
    with pytest.raises(PipelineError, match="cannot be read completely"):
        list(found)


def test_nothing_there(tmp_path):
    with pytest.raises(PipelineError, match="Received: nothing at that path"):
        TextFolder("texts", ("pos",)).files(tmp_path)


def test_absolute_path_is_not_below_the_data_folder(tmp_path):
    assert [tmp_path] == TextFolder(str(tmp_path), ("pos",)).files(tmp_path / "elsewhere")


# Names of archives are bytes: what is no UTF-8 arrives as lone surrogates.
NAMES = st.binary(min_size=1, max_size=12).map(lambda name: name.replace(b"/", b"-").replace(b"\0", b"-"))


@given(folder=NAMES, content=st.binary(max_size=20))
def test_odd_names_and_bytes(tmp_path_factory, folder, content):
    path = tmp_path_factory.mktemp("odd") / "t.tar"
    as_tar(path, {f"top/x{folder.decode(errors='surrogateescape')}/a.txt": content})
    (example,) = read(path)
    assert b"x" + folder == example.features["label"]
    assert content == example.features["text"]
    assert example.source.encode().startswith(str(path).encode())


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("Test", "test"),
        ("Testing", "test"),
        ("test_set", "test"),
        ("TEST-DATA", "test"),
        ("testset", "test"),
        ("Training", "train"),
        ("training_set", "train"),
        ("train images", "train"),
        ("Valid", "train"),
        ("contest", ""),
        ("trains", ""),
        ("tests", ""),
    ],
)
def test_folders_that_are_called_like_a_split(tmp_path, folder, split):
    as_folder(tmp_path / "t", {f"{folder}/pos/a.txt": b"good"})
    assert [split] == [one.split for one in read(tmp_path / "t")]


def test_files_in_hidden_folders_are_skipped(tmp_path):
    files = {
        "pos/.ipynb_checkpoints/a.txt": b"x",
        "__MACOSX/pos/a.txt": b"x",
        ".git/pos/a.txt": b"x",
        "pos/a.txt": b"y",
    }
    as_folder(tmp_path / "t", files)
    assert [b"y"] == [one.features["text"] for one in read(tmp_path / "t")]
