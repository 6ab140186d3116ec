"""Photographs: patches and whole pictures, each with a strength and with itself as what is to be kept."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.photographs import PHOTOGRAPHS, STRENGTHS, Photographs
from pipeline.errors import PipelineError

SMALL = Photographs("pictures", side=16)


def put(folder, name, size):
    path = folder / "pictures" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


def test_patches_to_learn_from_and_whole_pictures_as_the_test(tmp_path):
    put(tmp_path, "t91/a.png", (60, 49))
    put(tmp_path, "set5/b.png", (50, 41))
    rows = list(SMALL.examples(tmp_path))
    assert {"train", "test"} == {row.split for row in rows}
    for row in rows:
        size = Image.open(io.BytesIO(row.features["image_bytes"])).size
        assert (16, 16) == size if row.split == "train" else (50, 41) == size
        assert row.features["image_bytes"] == row.features["target_bytes"]


def test_strengths_follow_each_other(tmp_path):
    put(tmp_path, "t91/a.png", (60, 49))
    strengths = [row.features["strength"] for row in SMALL.examples(tmp_path)]
    assert list(STRENGTHS) == strengths[:4]
    assert set(STRENGTHS) == set(strengths)


def test_what_has_no_whole_patch_has_a_reason(tmp_path):
    put(tmp_path, "t91/small.png", (60, 15))
    (row,) = SMALL.examples(tmp_path)
    assert {} == row.features
    assert "a picture of 60x15 pixels has no whole patch" == row.fault


def test_not_there(tmp_path):
    with pytest.raises(PipelineError, match="There is no folder or archive"):
        SMALL.files(tmp_path)


@pytest.mark.heavy
def test_rows_of_the_real_archive(shared_data):
    rows = list(PHOTOGRAPHS.examples(shared_data))
    assert {"train": 1625, "test": 19} == Counter(row.split for row in rows if not row.fault)
    assert 7 == sum(bool(row.fault) for row in rows)
