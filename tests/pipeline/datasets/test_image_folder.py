"""A folder of images per class."""

from __future__ import annotations

import pytest

from pipeline.datasets.image_folder import ImageFolder
from pipeline.errors import PipelineError

DATA = ImageFolder("pictures", (6, 7, 1), ("cat", "dog"))


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
    found = list(DATA.examples(tmp_path))
    assert [b"cat", b"dog", b"dog"] == [example.features["label"] for example in found]
    assert ["z.PNG", "a.png", "b.png"] == [example.source.rpartition("/")[2] for example in found]
    assert {encoded()} == {example.features["image_bytes"] for example in found}
    assert {("", "")} == {(example.split, example.fault) for example in found}


def test_folders_above_the_classes_are_splits(put, encoded, tmp_path):
    put("train/cat/a.png", encoded())
    put("test/dog/a.png", encoded())
    found = {example.features["label"]: example.split for example in DATA.examples(tmp_path)}
    assert {b"cat": "train", b"dog": "test"} == found


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda encoded: encoded()[:-20], "not a readable image"),
        (lambda encoded: b"", "not a readable image"),
        (lambda encoded: encoded(mode="LA"), "an alpha channel, expected grey without alpha"),
        (lambda encoded: encoded((7, 6)), "size 6x7, expected 7x6 pixels"),
        (lambda encoded: encoded(mode="RGB"), "PNG in colour mode RGB, expected grey without alpha"),
    ],
    ids=["truncated", "empty", "alpha", "size", "mode"],
)
def test_unusable_image_carries_its_fault(put, encoded, tmp_path, content, words):
    put("cat/a.png", content(encoded))
    (example,) = DATA.examples(tmp_path)
    assert example.fault.startswith(words)
    assert example.source.endswith("cat/a.png")


def test_no_folder(tmp_path):
    with pytest.raises(PipelineError, match="Received: nothing at that path"):
        DATA.files(tmp_path)
    (tmp_path / "pictures").write_text("")
    with pytest.raises(PipelineError, match="Received: a file"):
        list(DATA.examples(tmp_path))


def test_absolute_path_is_not_below_the_data_folder(tmp_path):
    data = ImageFolder(str(tmp_path), (6, 7, 1), ("cat",))
    assert [tmp_path] == data.files(tmp_path / "elsewhere")
