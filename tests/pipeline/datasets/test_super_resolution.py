"""Super-resolution: pairs of patches and of whole pictures."""

from __future__ import annotations

import io
import tarfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.super_resolution import SUPER_RESOLUTION, SuperResolution
from pipeline.errors import PipelineError
from pipeline.evaluation.metrics.restoration import luma, psnr

SMALL = SuperResolution("pictures", scale=3, side=8)


def put(folder, name, size, mode="RGB"):
    path = folder / "pictures" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_patches_to_learn_from_and_whole_pictures_as_the_test(tmp_path):
    put(tmp_path, "t91/a.png", (60, 49))
    put(tmp_path, "set5/b.png", (50, 40), "L")
    put(tmp_path, "other/c.png", (60, 60))
    rows = list(SMALL.examples(tmp_path))
    assert ["test"] + ["train"] * (len(rows) - 1) == sorted(row.split for row in rows)
    assert {b"t91/a.png", b"set5/b.png"} == {row.features["picture"] for row in rows}
    for row in rows:
        small, large = (pixels(row.features[name]) for name in ("image_bytes", "target_bytes"))
        assert ((8, 8, 3), (24, 24, 3)) == (small.shape, large.shape) or row.split == "test"
    (test,) = (row for row in rows if row.split == "test")
    assert (13, 16, 3) == pixels(test.features["image_bytes"]).shape
    assert (39, 48, 3) == pixels(test.features["target_bytes"]).shape


def test_patches_lie_on_each_other(tmp_path):
    put(tmp_path, "t91/a.png", (60, 49))
    whole = np.asarray(Image.open(tmp_path / "pictures/t91/a.png"))
    shrunk = np.asarray(Image.fromarray(whole[:48]).resize((20, 16), Image.Resampling.BICUBIC))
    rows = [row for row in SMALL.examples(tmp_path) if "size 1.0" in row.source]
    assert 6 == len(rows)
    for row in rows:
        top, left = map(int, row.source.rpartition("(")[2].rstrip(")").split(","))
        np.testing.assert_array_equal(shrunk[top : top + 8, left : left + 8], pixels(row.features["image_bytes"]))
        expected = whole[3 * top : 3 * top + 24, 3 * left : 3 * left + 24]
        np.testing.assert_array_equal(expected, pixels(row.features["target_bytes"]))


def test_what_cannot_be_used_has_a_reason(tmp_path):
    put(tmp_path, "t91/small.png", (60, 20))
    (tmp_path / "pictures/set5").mkdir()
    (tmp_path / "pictures/set5/no.png").write_bytes(b"no picture")
    faults = sorted(row.fault for row in SMALL.examples(tmp_path))
    assert ["a picture of 60x20 pixels has no whole patch"] == faults[:1]
    assert faults[1].startswith("not a readable image")


def test_archive_and_folder_are_the_same(tmp_path):
    put(tmp_path, "t91/a.png", (60, 49))
    with tarfile.open(tmp_path / "pictures.tar", "w") as archive:
        archive.add(tmp_path / "pictures", "any/where")
    packed = SuperResolution("pictures.tar", side=8)
    found, expected = ([row.features for row in data.examples(tmp_path)] for data in (packed, SMALL))
    assert expected == found


def test_not_there(tmp_path):
    with pytest.raises(PipelineError, match="There is no folder or archive"):
        SMALL.files(tmp_path)


@pytest.mark.heavy
def test_bicubic_interpolation_is_as_good_as_published(shared_data):
    rows = list(SUPER_RESOLUTION.examples(shared_data))
    assert {"train": 4606, "test": 19} == Counter(row.split for row in rows)
    assert not any(row.fault for row in rows)
    for name, expected in (("set5/", 30.39), ("set14/", 27.54)):
        test = [
            row.features for row in rows if row.split == "test" and row.features["picture"].startswith(name.encode())
        ]
        truth = [pixels(row["target_bytes"]) for row in test]
        small = [Image.open(io.BytesIO(row["image_bytes"])) for row in test]
        large = [each.resize((3 * each.width, 3 * each.height), Image.Resampling.BICUBIC) for each in small]
        found = psnr(map(luma, truth), [luma(np.asarray(each)) for each in large], shave=3).value
        assert abs(expected - found) < (0.05 if name == "set5/" else 0.15)
