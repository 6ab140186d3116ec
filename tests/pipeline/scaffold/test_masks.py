"""Folders of pictures and masks: which names belong together, what a mask marks, and what marks nothing."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pipeline.errors import PipelineError, UsageError
from pipeline.scaffold import inspect
from pipeline.scaffold.structured import masks

COUNT = 120


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def marked(mode, inside, outside=0):
    """A mask of any mode, with a rectangle inside."""
    picture = Image.new(mode, (64, 48), outside)
    picture.paste(inside, (10, 10, 30, 20))
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    return buffer.getvalue()


def masked(root, content, name="{}", folders=("images", "masks")):
    for number in range(COUNT):
        write(root / folders[0] / f"{number}.png", marked("RGB", (200, 190, number), (30, 40, number)))
        write(root / folders[1] / f"{name.format(number)}.png", content)
    return root


@pytest.mark.parametrize(
    ("name", "folders"),
    [("mask_{}", ("images", "masks")), ("{}", ("train", "train_masks")), ("x{}", ("JPEGImages", "SegmentationClass"))],
)
def test_pictures_and_masks_of_other_names_are_no_two_classes(tmp_path, name, folders):
    with pytest.raises(UsageError, match="do not say whose masks these are"):
        inspect.make_plan(masked(tmp_path / "data", marked("L", 255), name, folders), "", "")


def test_the_usual_suffixes_of_masks_are_known(tmp_path):
    plan = inspect.make_plan(masked(tmp_path / "data", marked("L", 255), "{}_segmentation"), "", "")
    assert "_segmentation" == plan.facts["arguments"]["suffix"]
    assert "The masks cover 6.5% of the pictures." in plan.notes


@pytest.mark.parametrize(
    ("mode", "inside", "outside"),
    [
        ("L", 255, 0),
        ("RGBA", (255, 255, 255, 255), (0, 0, 0, 255)),
        ("RGBA", (0, 0, 0, 255), (0, 0, 0, 0)),
        ("RGBA", (255, 0, 0, 255), (0, 255, 0, 0)),
        ("LA", (255, 255), (0, 255)),
    ],
)
def test_an_alpha_channel_is_no_colour_of_a_mask(tmp_path, mode, inside, outside):
    root = masked(tmp_path / "data", marked(mode, inside, outside))
    plan = inspect.make_plan(root, "", "")
    assert "The masks cover 6.5% of the pictures." in plan.notes
    data = masks.find_masks(root)
    content = next(iter(data.examples(tmp_path))).features["mask_bytes"]
    assert Image.open(io.BytesIO(content)).mode in ("L", "1")


def test_too_few_pairs_say_what_is_wrong_with_the_others(tmp_path):
    root = masked(tmp_path / "data", marked("L", 255))
    for number in range(COUNT):
        if number < 24 or number >= 60:
            (root / f"masks/{number}.png").unlink()
        if number >= 60:
            (root / f"images/{number}.png").unlink()
    with pytest.raises(PipelineError, match=r"Received: 36, and 24 that cannot .* the first: .* has no mask") as caught:
        inspect.make_plan(root, "", "")
    assert "mend those" in str(caught.value)


@pytest.mark.parametrize("grey", [0, 255])
def test_masks_that_part_nothing_are_refused(tmp_path, grey):
    with pytest.raises(PipelineError, match="part nothing from anything"):
        inspect.make_plan(masked(tmp_path / "data", marked("L", grey, grey)), "", "")


def test_masks_of_several_classes_say_that_these_become_one(tmp_path):
    root = masked(tmp_path / "data", marked("L", 2))
    write(root / "masks/0.png", marked("L", 1))
    assert any("is one class, of 2 values" in note for note in inspect.make_plan(root, "", "").notes)
