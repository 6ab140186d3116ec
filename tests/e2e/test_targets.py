"""A recipe with structured answers, from its data to the picture that `predict` writes; its data spoilt."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RECIPE = '''"""Light rectangles, marked pixel by pixel.

Paper: none. Data: made by the test. Task: segmentation. Command: keraspipe run rectangles
"""

from dataclasses import dataclass

import keras
import tensorflow as tf

from pipeline.features.image import decode_sized
from pipeline.formats.structured.masks import ImageMasks
from pipeline.recipe import Gate, Hash, Metric, Recipe
from pipeline.training.layers import Turn

SHAPE = (16, 16, 1)


@dataclass(frozen=True)
class Params:
    epochs: int = 25
    batch_size: int = 8
    patience: int = 25
    learning_rate: float = 0.1


def preprocess(inputs, p):
    pixels, size = decode_sized(inputs["image_bytes"], SHAPE)
    return {"image": tf.cast(pixels, tf.float32) / 255.0, "size": size}


def preprocess_targets(targets, p):
    pixels, _ = decode_sized(targets["mask_bytes"], SHAPE)
    return {"mask": pixels > 0}


def build(p, spec):
    image = keras.Input(spec.features["image"][0], name="image")
    size = keras.Input(spec.features["size"][0], name="size", dtype="int64")
    inside = keras.layers.Conv2D(1, 1, activation="sigmoid")(image)
    model = keras.Model({"image": image, "size": size}, inside)
    model.compile(keras.optimizers.Adam(p.learning_rate), "binary_crossentropy")
    return model


def outputs(model, features):
    def draw(row):
        image, size = row
        share = model({"image": image[None], "size": size[None]}, training=False)
        inside = tf.image.resize(share, tf.cast(size, tf.int32))[0] > 0.5
        return tf.io.encode_png(tf.cast(inside, tf.uint8) * 255), tf.reduce_mean(tf.cast(inside, tf.float32))

    specs = (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.float32))
    mask, share = tf.map_fn(draw, (features["image"], features["size"]), fn_output_signature=specs)
    return {"mask_bytes": mask, "area_share": share}


def score(served, examples, others):
    from pipeline.evaluation.metrics.segmentation import dice
    from pipeline.features.drawing import read_mask

    rows = examples.test
    answer = served.predict("serving_default", {"image_bytes": rows["image_bytes"]})
    truth, found = ([read_mask(mask) for mask in masks] for masks in (rows["mask_bytes"], answer["mask_bytes"]))
    return {"dice": dice(truth, found)}


RECIPE = Recipe(
    data=ImageMasks("rectangles", shape=SHAPE),
    split=Hash(eval=0.2, test=0.2),
    params=Params(),
    preprocess=preprocess,
    preprocess_targets=preprocess_targets,
    augment=lambda p: [Turn()],
    augmented="",
    build=build,
    outputs=outputs,
    predicted="area_share",
    metrics=(Metric("dice"),),
    score=score,
    gate=Gate(at_least={"dice": 0.8}, no_worse={"dice": 0.0}),
    bad_share=0.05,
)
'''


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def draw(folder: Path, count: int) -> None:
    random = np.random.default_rng(1)
    for number in range(count):
        pixels = random.integers(0, 90, (20, 24), dtype=np.uint8)
        top, left = random.integers(0, 10, 2)
        inside = np.zeros((20, 24), bool)
        inside[top : top + 8, left : left + 9] = True
        pixels[inside] += 150
        for name, content in (("images", pixels), ("masks", inside.astype(np.uint8) * 255)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{number}.png").write_bytes(encoded(content))


@pytest.fixture(scope="module")
def rectangles(tmp_path_factory, keraspipe_in):
    """The command in a folder with the recipe and its data."""
    folder = tmp_path_factory.mktemp("rectangles")
    (folder / "recipes").mkdir()
    (folder / "recipes/rectangles.py").write_text(RECIPE)
    draw(folder / "data/rectangles", 90)
    command = keraspipe_in(folder, KERASPIPE_RECIPES=str(folder / "recipes"), KERASPIPE_DATA=str(folder / "data"))
    return command, folder


@pytest.fixture(scope="module")
def first(rectangles):
    """The result of its first run."""
    command, _ = rectangles
    answer = command("run", "rectangles", "--json")
    assert answer.code == 0, answer.err
    return answer.json


@pytest.mark.long
def test_a_run_learns_judges_and_publishes_masks(rectangles, first):
    command, _ = rectangles
    assert first["blessed"]
    assert first["metrics"]["dice"] > 0.8
    evaluation = json.loads((command.workspace / "runs" / first["run_id"] / "evaluation.json").read_text())
    low, high = evaluation["intervals"]["dice"]
    assert low < first["metrics"]["dice"] <= high
    assert [title for title, _ in evaluation["answers"][0]["pictures"]] == ["picture", "truth", "answer"]
    assert evaluation["baselines"]["models"] == []
    (samples,) = command.workspace.glob("artifacts/**/samples.json")
    assert len(json.loads(samples.read_text())) == 8


@pytest.mark.long
def test_predict_writes_the_mask_at_the_size_of_the_picture(rectangles, first):
    command, folder = rectangles
    source = folder / "data/rectangles/images/0.png"
    answer = command("predict", "rectangles", str(source))
    assert answer.code == 0, answer.err
    assert "mask_bytes in 0-rectangles.png" in answer.out
    (written,) = Path(folder).glob("**/0-rectangles.png")
    with Image.open(written) as mask:
        assert mask.size == (24, 20)
    answer = command("predict", "rectangles", str(source), "--json")
    (row,) = answer.json["predictions"]
    assert {"b64"} == row["mask_bytes"].keys()


@pytest.mark.long
def test_a_second_run_is_held_against_the_first_by_a_paired_bootstrap(rectangles, first):
    command, _ = rectangles
    answer = command("run", "rectangles", "--json", "--set", "epochs=1", "--set", "learning_rate=0.001")
    assert answer.code == 3, answer.err
    evaluation = json.loads((command.workspace / "runs" / answer.json["run_id"] / "evaluation.json").read_text())
    assert evaluation["comparisons"]["dice"]["test"] == "paired bootstrap"
    assert evaluation["comparisons"]["dice"]["p"] < 0.05
    assert any("the live model" in reason for reason in evaluation["gate"]["reasons"])


@pytest.mark.heavy
def test_masks_that_do_not_fit_are_named(rectangles, tmp_path, keraspipe_in):
    draw(tmp_path / "data/rectangles", 40)
    for number in range(10):
        (tmp_path / f"data/rectangles/masks/{number}.png").write_bytes(encoded(np.zeros((5, 5), np.uint8)))
    command = keraspipe_in(
        tmp_path, KERASPIPE_RECIPES=str(rectangles[1] / "recipes"), KERASPIPE_DATA=str(tmp_path / "data")
    )
    answer = command("run", "rectangles", "--until", "ingest")
    assert answer.code == 1
    assert "its mask has 5x5 pixels, the picture 24x20" in answer.err
    assert "Traceback" not in answer.err
