"""Pictures and masks: pairs by name in folders and archives, and pairs that are none."""

from __future__ import annotations

import io
import tarfile

import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.formats.structured.masks import ImageMasks


def png(size=(6, 4), mode="L"):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "png")
    return buffer.getvalue()


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def rows(data, folder):
    return {example.source.rpartition("/")[2]: example for example in data.examples(folder)}


def test_pairs_are_found_by_name_in_folders_of_splits(tmp_path):
    names = ("train/images/a.png", "train/masks/a.png", "test/images/a.jpg.png", "test/masks/a.jpg.png")
    write(tmp_path / "cells", {name: png() for name in names})
    data = ImageMasks("cells")
    assert data.targets == {"mask_bytes": "bytes"}
    found = list(data.examples(tmp_path))
    assert [("test", ""), ("train", "")] == sorted((example.split, example.fault) for example in found)
    assert {"image_bytes", "mask_bytes"} == found[0].features.keys()


def test_a_suffix_and_other_names_of_folders(tmp_path):
    write(tmp_path / "cells", {"in/1.jpg": png(mode="RGB"), "out/1_mask.png": png(), "out/1_mask.txt": b"no mask"})
    (example,) = ImageMasks("cells", images="in", masks="out", suffix="_mask").examples(tmp_path)
    assert example.fault == ""
    assert example.features["mask_bytes"] == png()


@pytest.mark.parametrize("order", [("images/a.png", "masks/a.png"), ("masks/a.png", "images/a.png")])
def test_an_archive_may_have_any_order(tmp_path, order):
    with tarfile.open(tmp_path / "cells.tar", "w") as archive:
        for name in order:
            member = tarfile.TarInfo(f"./cells/{name}")
            member.size = len(png())
            archive.addfile(member, io.BytesIO(png()))
    (example,) = ImageMasks("cells.tar").examples(tmp_path)
    assert example.fault == ""


def test_what_is_no_pair_is_a_fault(tmp_path):
    files = {
        "images/size.png": png(),
        "masks/size.png": png((6, 5)),
        "images/broken.png": png(),
        "masks/broken.png": png()[:30],
        "images/alone.png": png(),
        "masks/stray.png": png(),
        "images/noise.png": b"no picture",
        "masks/noise.png": png(),
    }
    write(tmp_path / "cells", files)
    faults = {name: example.fault for name, example in rows(ImageMasks("cells"), tmp_path).items()}
    assert "its mask has 6x5 pixels, the picture 6x4" == faults["size.png"]
    assert "its mask is not a readable image" in faults["broken.png"]
    assert "no mask of the same name" in faults["alone.png"]
    assert "no picture of the same name" in faults["stray.png"]
    assert "not a readable image" in faults["noise.png"]


def test_who_lacks_a_public_data_set_is_told_where_it_comes_from(tmp_path):
    data = ImageMasks("cells/cells.tar", source="https://example.org/cells.tar")
    with pytest.raises(PipelineError, match=r"put https://example\.org/cells\.tar there, .* folder above cells"):
        data.files(tmp_path)
    with pytest.raises(PipelineError, match="correct the recipe's path"):
        ImageMasks("cells").files(tmp_path)


def test_pairs_of_one_name_in_different_folders_stay_apart(tmp_path):
    write(tmp_path / "cells", {f"{kind}/{folder}/a.png": png() for kind in ("images", "masks") for folder in "xy"})
    assert ["", ""] == [row.fault for row in ImageMasks("cells").examples(tmp_path)]


@pytest.mark.parametrize("again", ["images/a.jpg", "masks/a.bmp", "images/a.gif"])
def test_files_of_one_name_that_would_be_one_pair_are_faults(tmp_path, again):
    write(
        tmp_path / "cells", {"images/a.png": png(), "masks/a.png": png(), "images/b.png": png(), "masks/b.png": png()}
    )
    write(tmp_path / "cells", {again: png()})
    faults = [row.fault for row in ImageMasks("cells").examples(tmp_path)]
    assert ["more than one picture or mask has this name"] * 3 + [""] == sorted(faults, reverse=True)
