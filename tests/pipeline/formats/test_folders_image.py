"""A folder or archive of images per class."""

from __future__ import annotations

import shutil

import pytest

from pipeline.errors import PipelineError
from pipeline.formats.folders import ImageFolder

DATA = ImageFolder("pictures", (6, 7, 1), ("cat", "dog"))
ANY = ImageFolder("pictures", (6, 7, 1), ("cat", "dog"), resize=True)


@pytest.fixture
def put(tmp_path):
    def write(name, content):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return write


def test_images_in_the_order_of_their_paths(put, encoded, tmp_path):
    for name in ("dog/b.png", "cat/z.PNG", "dog/a.png"):
        put(name, encoded())
    put("dog/notes.txt", b"no image")
    put("dog/._a.png", b"what a file manager leaves")
    found = list(DATA.examples(tmp_path))
    assert [b"cat", b"dog", b"dog"] == [example.features["label"] for example in found]
    assert ["z.PNG", "a.png", "b.png"] == [example.source.rpartition("/")[2] for example in found]
    assert {encoded()} == {example.features["image_bytes"] for example in found}
    assert {("", "")} == {(example.split, example.fault) for example in found}


@pytest.mark.parametrize("folder", ["val", "valid", "validation", "train"])
def test_folders_above_the_classes_are_splits(put, encoded, tmp_path, folder):
    put(f"{folder}/cat/a.png", encoded())
    put("test/dog/a.png", encoded())
    found = {example.features["label"]: example.split for example in DATA.examples(tmp_path)}
    assert {b"cat": "train", b"dog": "test"} == found


def test_class_may_be_named_like_a_split(put, encoded, tmp_path):
    put("test/a.png", encoded())
    put("train/test/a.png", encoded())
    found = [(example.features["label"], example.split) for example in DATA.examples(tmp_path)]
    assert [(b"test", ""), (b"test", "train")] == found


@pytest.mark.parametrize("kind", ["tar", "gztar", "xztar", "zip"])
def test_archive_is_read_like_the_folder(put, encoded, tmp_path, kind):
    for name in ("train/dog/a.png", "val/cat/b.jpg", "test/cat/c.png"):
        put(f"wrapped/{name}", encoded(mode="L", kind="jpeg" if "jpg" in name else "png"))
    put("wrapped/train/dog/broken.png", encoded()[:30])
    archive = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path / "pictures")
    expected = {(e.features["label"], e.features["image_bytes"], e.split, e.fault) for e in DATA.examples(tmp_path)}
    packed = list(ImageFolder(archive, (6, 7, 1), ("cat", "dog")).examples(tmp_path))
    assert expected == {(e.features["label"], e.features["image_bytes"], e.split, e.fault) for e in packed}
    assert ["train", "train", "train", "test"] == sorted((e.split for e in packed), reverse=True)
    assert [archive + "/wrapped/train/dog/broken.png"] == [e.source for e in packed if e.fault]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda encoded: encoded()[:-20], "not a readable image"),
        (lambda encoded: b"", "not a readable image"),
        (lambda encoded: b"<html>", "not a readable image"),
        (lambda encoded: encoded(mode="LA"), "an alpha channel, expected grey without alpha"),
        (lambda encoded: encoded((7, 6)), "size 6x7, expected 7x6 pixels"),
        (lambda encoded: encoded(mode="RGB"), "PNG in colour mode RGB, expected grey without alpha"),
    ],
    ids=["truncated", "empty", "page", "alpha", "size", "mode"],
)
def test_unusable_image_carries_its_fault(put, encoded, tmp_path, content, words):
    put("cat/a.png", content(encoded))
    (example,) = DATA.examples(tmp_path)
    assert example.fault.startswith(words)
    assert example.source.endswith("cat/a.png")
    (example,) = ANY.examples(tmp_path)
    assert example.fault.startswith(words) == words.startswith("not a readable image")


def test_nothing_there(tmp_path):
    with pytest.raises(PipelineError, match="Received: nothing at that path"):
        DATA.files(tmp_path)


def test_neither_folder_nor_archive(tmp_path):
    (tmp_path / "pictures").write_text("")
    with pytest.raises(PipelineError, match="cannot be read completely"):
        list(DATA.examples(tmp_path))


def test_absolute_path_is_not_below_the_data_folder(tmp_path):
    data = ImageFolder(str(tmp_path), (6, 7, 1), ("cat",))
    assert [tmp_path] == data.files(tmp_path / "elsewhere")
