"""Images, texts and recordings in folders, and archives of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.recipes import catalog


def official(folder, test_files=10):
    """The same with train/ and test/ above the classes."""
    for name in [path.name for path in folder.iterdir()]:
        (folder / "test" / name).mkdir(parents=True)
        for file in sorted((folder / name).iterdir())[:test_files]:
            file.rename(folder / "test" / name / file.name)
        (folder / "train").mkdir(exist_ok=True)
        (folder / name).rename(folder / "train" / name)
    return folder


def test_images_of_one_size_are_taken_as_they_are(drafted, images):
    found = drafted(images)
    assert [("dark", "30", "0"), ("light", "30", "0")] == found.plan.rows
    assert (
        "    shape=(10, 12, 1),  # what every image is resized to; those of this size stay as they are\n" in found.text
    )
    assert "Sizes 12x10, grey: taken as they are, others are resized to 12x10." in found.plan.notes
    assert "RandomFlip" not in found.text
    assert "split=Hash(eval=0.15, test=0.2)" in found.text


@pytest.mark.heavy
def test_a_recipe_for_images_of_one_size_answers_photos_of_any(drafted, images):
    import numpy as np
    import tensorflow as tf
    from PIL import Image

    recipe = catalog.load_recipe(drafted(images).source.path)
    own, photo = images / "dark" / "0.png", images / "photo.jpg"
    Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(photo)
    contents = tf.constant([own.read_bytes(), photo.read_bytes()])
    known, other = recipe.preprocess({"image_bytes": contents}, recipe.params)["image"].numpy()
    pixels = np.asarray(Image.open(own), np.float32)[..., None] / 255
    np.testing.assert_array_equal(pixels, known)
    assert (10, 12, 1) == other.shape
    assert np.all(np.diff(other.mean(axis=(1, 2))) > 0)


def test_photos_of_another_size_are_trained_on_too(drafted, images):
    from PIL import Image

    recipe = catalog.load_recipe(drafted(images).source.path)
    Image.new("RGB", (40, 30), "red").save(images / "dark" / "photo.jpg")
    assert [""] * 61 == [example.fault for example in recipe.data.examples(Path("/"))]


def test_images_of_several_sizes_are_resized(drafted, images):
    from PIL import Image

    Image.new("RGB", (50, 70), "red").save(images / "dark" / "photo.jpg")
    found = drafted(images)
    assert "    shape=(32, 32, 3),  # what every image is resized to\n" in found.text
    assert 'decode(inputs["image_bytes"], DATA.shape, resize=True)' in found.text
    assert 'layers.RandomFlip("horizontal")' in found.text


def test_a_test_split_of_its_own(drafted, images):
    found = drafted(official(images))
    assert [("dark", "20", "10"), ("light", "20", "10")] == found.plan.rows
    assert "split=Official(eval=0.15)" in found.text


@pytest.mark.parametrize("format_", ["zip", "gztar"])
def test_archives(drafted, images, texts, recordings, format_):
    for folder, data in ((images, "ImageFolder"), (texts, "TextFolder"), (recordings, "WavFolder")):
        archive = shutil.make_archive(str(folder), format_, folder.parent, folder.name)
        found = drafted(type(folder)(archive))
        assert f'DATA = {data}(\n    path="{archive}",\n' in found.text


def test_texts(drafted, texts):
    found = drafted(official(texts))
    assert [("bad", "20", "10"), ("good", "20", "10")] == found.plan.rows
    assert "Annotated[int, Range(20, 1000)] = 20  # words" in found.text


def test_recordings(drafted, recordings):
    found = drafted(recordings)
    assert "    rate=8000,\n" in found.text
    assert "SAMPLES = 4000  # 0.5 seconds" in found.text
    assert "frame: int = 256" in found.text


def test_files_that_cannot_be_used_are_allowed_for(drafted, images, recordings):
    for number in range(3):
        (images / "dark" / f"bad{number}.png").write_bytes(b"no image")
        (recordings / "low" / f"bad{number}.wav").write_bytes(b"no recording")
    for folder in (images, recordings):
        assert "    bad_share=0.067,  # 4.8% cannot be used, as this is written\n" in drafted(folder).text


def test_a_file_above_the_classes_is_of_none(drafted, images, texts, recordings):
    for folder, ending in ((images, ".png"), (texts, ".txt"), (recordings, ".wav")):
        path = folder / "in an archive" / "wrapped"
        path.mkdir(parents=True)
        classes = [one for one in folder.iterdir() if one.name != "in an archive"]
        first = next(classes[0].iterdir()).read_bytes()
        for one in classes:
            one.rename(path / one.name)
        (path / f"readme{ending}").write_bytes(first)
        found = drafted(folder)
        assert sorted(one.name for one in classes) == [row[0] for row in found.plan.rows]
        assert '    without=("wrapped",),\n' in found.text
        assert "Files outside the folders of the classes are passed over: in wrapped." in found.plan.notes
        assert 60 == len(list(catalog.load_recipe(found.source.path).data.examples(Path("/"))))


def test_a_class_within_a_class_is_one(drafted, images):
    (images / "dark").rename(images / "light" / "dark")
    assert [("dark", "30", "0"), ("light", "30", "0")] == drafted(images).plan.rows


def test_one_class_only(drafted, images, texts, recordings):
    for folder in (images, texts, recordings):
        shutil.rmtree(next(folder.iterdir()))
        for path in list(next(folder.iterdir()).iterdir()):
            shutil.copy(path, path.with_stem(f"{path.stem}-2"))
        with pytest.raises(PipelineError, match=r"nothing to tell apart[^\n]*\nExpected: a folder for each"):
            drafted(folder)


def test_too_few_files(drafted, images):
    for path in list(images.rglob("*.png"))[10:]:
        path.unlink()
    with pytest.raises(PipelineError, match="There are too few usable rows"):
        drafted(images)


def test_recordings_of_another_format(drafted, recordings):
    for path in recordings.rglob("*.wav"):
        path.write_bytes(b"RIFF no sound")
    with pytest.raises(PipelineError, match=r"No recording in .* can be read"):
        drafted(recordings)


def test_a_folder_has_no_target(drafted, images):
    with pytest.raises(UsageError, match="classified by the names of the folders"):
        drafted(images, "label")
    with pytest.raises(UsageError, match="classified by the names of the folders"):
        drafted(images, "", "regression")


@pytest.mark.parametrize("name", ["nothing", "empty", "odd.xyz", "readme", "broken.zip"])
def test_what_is_no_data(drafted, tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "readme").mkdir()
    (tmp_path / "readme" / "README.md").write_text("words")
    (tmp_path / "odd.xyz").write_text("words")
    (tmp_path / "broken.zip").write_bytes(b"PK no archive")
    with pytest.raises(PipelineError, match=r"Expected: .*\nReceived: "):
        drafted(tmp_path / name)


def test_files_of_other_formats_are_counted(drafted, images):
    (images / "night").mkdir()
    for name in ("dark/a.tif", "dark/b.TIF", "light/a.heic", "night/a.tif", "dark/.DS_Store", "dark/Thumbs.db"):
        (images / name).write_bytes(b"x")
    notes = drafted(images).plan.notes
    assert "Files of other formats are passed over: 3 .tif, 1 .heic; convert them to .bmp." in notes
    assert "No class, for they hold such files only: night." in notes


def test_only_files_of_other_formats(drafted, tmp_path):
    (tmp_path / "d" / "a").mkdir(parents=True)
    (tmp_path / "d" / "a" / "x.tif").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"Received: 1 files with \.tif"):
        drafted(tmp_path / "d")


def test_hidden_folders_are_no_classes(drafted, images):
    shutil.copytree(images / "dark", images / ".ipynb_checkpoints")
    shutil.copytree(images / "dark", images / "light" / ".ipynb_checkpoints")
    assert ["dark", "light"] == [row[0] for row in drafted(images).plan.rows]
