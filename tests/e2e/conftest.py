"""A recipe of its own on a folder of tiny images, which the tests spoil and change as they like."""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  (the dataclass)
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Callable

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


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


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


def make_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder, made by the first test process that asks for it."""
    with fileio.lock(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            made = folder.with_name(f"{folder.name}-half")
            make(made)
            made.rename(folder)
    return folder


@pytest.fixture(scope="session")
def transformed(shared_temp, squares_in):
    """A folder of `squares` done up to `transform`, as if nobody had asked for it; copies go on from there."""

    def make(folder: Path) -> None:
        made = squares_in(folder, **AWAY).run("--until", "transform")
        assert "transform" == made["steps"][-1]["name"]
        for name in ("runs", "requests"):
            shutil.rmtree(folder / "workspace" / name)

    return make_once(shared_temp / "squares-transformed", make)


@pytest.fixture(scope="session")
def published(shared_temp, squares_in):
    """A folder of `squares` in which a run was blessed and published; copies go on from there."""

    def make(folder: Path) -> None:
        assert squares_in(folder, **AWAY).run()["blessed"] is True

    return make_once(shared_temp / "squares-published", make)


@pytest.fixture(scope="session")
def copy_squares(keraspipe_in):
    """Copies a folder of `squares`, and makes the recipe there."""

    def copy(source: Path, target: Path, **environment: str) -> Squares:
        return squares_of(keraspipe_in, shutil.copytree(source, target, symlinks=True), **environment)

    return copy


@pytest.fixture
def prepared(transformed, copy_squares, tmp_path):
    """The recipe `squares`, done up to `transform`."""
    return copy_squares(transformed, tmp_path / "squares")


@pytest.fixture
def prepared_unrecorded(transformed, copy_squares, tmp_path):
    """The recipe `squares`, done up to `transform`, with an MLflow that is away."""
    return copy_squares(transformed, tmp_path / "squares", **AWAY)


@pytest.fixture
def published_unrecorded(published, copy_squares, tmp_path):
    """The recipe `squares` with one version, the champion, with an MLflow that is away."""
    return copy_squares(published, tmp_path / "squares", **AWAY)
