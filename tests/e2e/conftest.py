"""A recipe of its own on a folder of tiny images, which the tests spoil and change as they like."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  (the dataclass)

import numpy as np
import pytest
from PIL import Image

RECIPE = '''"""Light and dark squares.

Paper: none. Data: made by the test. Command: keraspipe run squares
"""

from dataclasses import dataclass

import keras
import tensorflow as tf

from pipeline.features.image import decode
from pipeline.formats.folders import ImageFolder
from pipeline.recipe import Gate, Hash, Recipe

SHAPE = (8, 8, 1)
SCALE = 255.0


@dataclass(frozen=True)
class Params:
    epochs: int = 12
    batch_size: int = 8
    patience: int = 12
    learning_rate: float = 0.05
    units: int = 4


def scaled(pixels):
    return tf.cast(pixels, tf.float32) / SCALE


def preprocess(inputs, p):
    return {"image": scaled(decode(inputs["image_bytes"], SHAPE))}


def build(p, spec):
    image = keras.Input(spec.features["image"][0], name="image")
    x = keras.layers.Dense(p.units, activation="relu")(keras.layers.Flatten()(image))
    model = keras.Model({"image": image}, keras.layers.Dense(len(spec.classes), activation="softmax")(x))
    model.compile(keras.optimizers.Adam(p.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


RECIPE = Recipe(
    data=ImageFolder("squares", SHAPE, ("dark", "light")),
    split=Hash(eval=0.2, test=0.2),
    params=Params(),
    preprocess=preprocess,
    build=build,
    gate=Gate(at_least={"accuracy": 0.9}, no_worse={"accuracy": 0.05}),
    bad_share=0.0,
)
'''


@dataclass(frozen=True)
class Squares:
    """The recipe's file and its data, both to be changed."""

    recipe: Path
    data: Path
    keraspipe: object

    def __call__(self, *arguments, **environment):
        return self.keraspipe(*arguments, **environment)

    def edit(self, old: str, new: str) -> None:
        text = self.recipe.read_text()
        assert old in text
        self.recipe.write_text(text.replace(old, new))

    def run(self, *arguments, **environment):
        """Runs the recipe and returns its result."""
        answer = self.keraspipe("run", "squares", "--json", *arguments, **environment)
        assert answer.code in (0, 3), answer.err
        return answer.json


def draw(folder: Path, count: int, first: int = 0) -> None:
    random = np.random.default_rng(first)
    for label, low in (("dark", 0), ("light", 160)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(first, first + count):
            Image.fromarray(random.integers(low, low + 90, (8, 8), dtype=np.uint8)).save(folder / label / f"{i}.png")


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """An MLflow database in which nothing is recorded yet; making one takes three seconds of a core."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


AWAY = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}


@pytest.fixture(scope="session")
def squares_in(keraspipe_in, tables):
    """Makes the recipe `squares` with 120 images in a folder outside the project."""

    def make(folder: Path, **environment: str) -> Squares:
        recipes, data, workspace = folder / "recipes", folder / "data", folder / "workspace"
        recipes.mkdir(parents=True)
        workspace.mkdir()
        shutil.copyfile(tables, workspace / tables.name)
        (recipes / "squares.py").write_text(RECIPE)
        draw(data / "squares", 60)
        return squares_of(keraspipe_in, folder, **environment)

    return make


def squares_of(keraspipe_in, folder: Path, **environment: str) -> Squares:
    recipes, data = folder / "recipes", folder / "data"
    command = keraspipe_in(folder, KERASPIPE_RECIPES=str(recipes), KERASPIPE_DATA=str(data), **environment)
    return Squares(recipes / "squares.py", data / "squares", command)


@pytest.fixture
def squares(tmp_path, squares_in):
    """The recipe `squares` in a workspace of its own."""
    return squares_in(tmp_path)


@pytest.fixture
def unrecorded(tmp_path, squares_in):
    """The recipe `squares` with an MLflow that is away, for what does not look at it: recording is half of a run."""
    return squares_in(tmp_path, **AWAY)


@pytest.fixture(scope="session")
def transformed(tmp_path_factory, squares_in):
    """A folder of `squares` whose data went up to `transform`, and where to copy it to: ML Metadata keeps paths."""
    place, kept = (tmp_path_factory.getbasetemp() / name for name in ("squares", "squares-kept"))
    made = squares_in(place, **AWAY).run("--until", "transform")
    assert "transform" == made["steps"][-1]["name"]
    for folder in ("runs", "requests"):  # as if nobody had asked for it
        shutil.rmtree(place / "workspace" / folder)
    place.rename(kept)
    return kept, place


@pytest.fixture
def prepared_in(transformed, keraspipe_in):
    """Makes `squares` in a workspace whose cache holds all steps up to `transform`; there is one at a time."""
    kept, place = transformed
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(kept, place)
    yield lambda **environment: squares_of(keraspipe_in, place, **environment)
    shutil.rmtree(place)


@pytest.fixture
def prepared(prepared_in):
    """The recipe `squares`, done up to `transform`."""
    return prepared_in()


@pytest.fixture
def prepared_unrecorded(prepared_in):
    """The recipe `squares`, done up to `transform`, with an MLflow that is away."""
    return prepared_in(**AWAY)
