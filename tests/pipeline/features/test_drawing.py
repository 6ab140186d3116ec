"""Boxes and masks on pictures: which pixels change, and masks of any kind."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.features import drawing


def grey(width=60, height=40):
    return Image.new("RGB", (width, height), (100, 100, 100))


def content(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    return buffer.getvalue()


def test_a_box_is_drawn_along_its_border_in_the_colour_of_its_label():
    drawn = np.asarray(drawing.draw_boxes(grey(), np.array([[0.25, 0.5, 0.75, 1.0]]), ["a"]))
    assert tuple(drawn[10, 45]) == tuple(drawn[29, 40]) == tuple(drawn[20, 59])
    assert drawn[10, 45].tolist() != [100, 100, 100]
    assert drawn[35, 10].tolist() == [100, 100, 100]
    two = np.asarray(drawing.draw_boxes(grey(), np.array([[0, 0, 1, 0.4], [0, 0.5, 1, 1]]), ["a", "b"], [0.5, 0.25]))
    assert two[20, 0].tolist() != two[20, 30].tolist()


def test_no_boxes_leave_the_picture_as_it_is():
    assert np.array_equal(grey(), drawing.draw_boxes(grey(), np.zeros((0, 4)), []))


def test_a_mask_colours_its_pixels_only():
    mask = np.zeros((40, 60), bool)
    mask[5:10, 5:10] = True
    changed = (np.asarray(drawing.overlay_mask(grey(), mask)) != 100).any(axis=-1)
    np.testing.assert_array_equal(mask, changed)


def test_the_truth_of_a_row_is_drawn_padded_or_not():
    row = {"image_bytes": content(grey()), "boxes": [[0.1, 0.1, 0.5, 0.5]], "classes": [1]}
    padded = row | {"boxes": np.array([0.1, 0.1, 0.5, 0.5] + [0.0] * 8), "classes": np.array([1, -1, -1])}
    assert drawing.has_truth(row)
    assert not drawing.has_truth({"image_bytes": b"", "label": b"a"})
    first, second = (drawing.draw_truth(each, ("a", "b")) for each in (row, padded))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, grey())
    small = Image.open(io.BytesIO(base64.b64decode(drawing.encode(grey(1000, 500)))))
    assert small.size == (320, 160)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "RGBA", "I;16"])
def test_a_mask_of_any_kind_is_read(mode):
    inside = np.zeros((5, 6), bool)
    inside[1:3, 2:5] = True
    if mode == "I;16":
        picture = Image.fromarray(inside.astype(np.uint16) * 3)
    else:
        picture = Image.fromarray(inside.astype(np.uint8) * 255).convert("RGB" if mode == "RGBA" else mode)
        picture = picture.convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    np.testing.assert_array_equal(inside, drawing.read_mask(buffer.getvalue()))
