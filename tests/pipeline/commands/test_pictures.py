"""Pictures that `predict` writes: answers that are one, boxes on the asked picture; inputs are never replaced."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.commands import _pictures, predict


def png(size=(40, 30), colour=(9, 9, 9)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(png())
    return "photo.jpg"


BOXES = {
    "boxes": np.array([[[0.1, 0.1, 0.6, 0.6], [0.0, 0.0, 1.0, 1.0]]]),
    "labels": np.array([[b"cat", b"dog"]], object),
    "scores": np.array([[0.9, 0.1]]),
    "count": np.array([1]),
}


def test_an_answer_that_is_a_picture_is_written(photo, tmp_path):
    (files,) = _pictures.write_pictures("cells@3", [photo], {"mask_bytes": np.array([png()], object)}, tmp_path)
    assert files == {"mask_bytes": tmp_path / "photo-cells.png"}
    assert files["mask_bytes"].read_bytes() == png()


def test_boxes_that_count_are_drawn_on_the_picture(photo, tmp_path):
    (files,) = _pictures.write_pictures("detector", [f"image_bytes={photo}"], BOXES, tmp_path)
    drawn = np.asarray(Image.open(files["boxes"]))
    assert drawn.shape == (30, 40, 3)
    assert drawn[3, 4].tolist() != [9, 9, 9]
    assert drawn[29, 39].tolist() == [9, 9, 9]  # the border of the box that does not count


def test_an_input_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "photo-cells.png"
    (tmp_path / name).write_bytes(png())
    for _ in range(2):  # its own answer of before is
        (files,) = _pictures.write_pictures("cells", [name], {"image_bytes": np.array([png((8, 8))], object)}, tmp_path)
    assert files["image_bytes"].name == "photo-cells-cells.png"
    assert _pictures.free_path(tmp_path / name, [name]).name == "photo-cells-answer.png"
    assert (tmp_path / name).read_bytes() == png()


def test_pictures_of_the_same_name_in_several_folders_have_an_answer_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["a/x.jpg", "b d/x.jpg", "x.png"]
    answer = {"mask_bytes": np.array([png((side, 8)) for side in (5, 6, 7)], object)}
    for _ in range(2):
        files = [written["mask_bytes"] for written in _pictures.write_pictures("cells", names, answer, tmp_path)]
    assert ["x-cells.png", "x-cells-2.png", "x-cells-3.png"] == [file.name for file in files]
    assert [5, 6, 7] == [Image.open(io.BytesIO(file.read_bytes())).width for file in files]


def test_other_answers_write_nothing(photo, tmp_path):
    answer = {"label": np.array([b"cat"], object), "probabilities": np.array([[0.1, 0.9]])}
    assert _pictures.write_pictures("digits", [photo], answer, tmp_path) == [{}]
    assert _pictures.write_pictures("noise", [photo], {"x_bytes": np.array([b"no picture"], object)}, tmp_path) == [{}]
    assert ["photo.jpg"] == [path.name for path in tmp_path.iterdir()]


def test_the_terminal_shows_what_counts_and_names_the_files(tmp_path):
    (row,) = predict.to_rows(BOXES)
    words = predict.describe_row(row, {"boxes": tmp_path / "photo-detector.png"})
    assert words["labels"] == "[cat]"
    assert words["count"] == "1"
    assert words["picture"] == "in photo-detector.png"
    (row,) = predict.to_rows({"mask_bytes": np.array([b"\x89PNG"], object), "area_share": np.array([0.5])})
    assert row["mask_bytes"] == {"b64": "iVBORw=="}
    assert predict.describe_row(row, {}) == {"mask_bytes": "4 bytes", "area_share": "0.5000"}
    assert predict.describe_row(row, {"mask_bytes": tmp_path / "a.png"})["mask_bytes"] == "in a.png"
