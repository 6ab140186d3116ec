"""A recipe as text, to be read and edited without importing anything heavy."""

from __future__ import annotations

import io
import runpy
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings
from PIL import Image

from pipeline.recipes import catalog
from pipeline.settings import ROOT, Settings
from pipeline.store.layout import Workspace

hypothesis_settings.load_profile("patient")  # also where tests/serving was collected before


RECIPE = '''"""A title. And more.

Paper: none.
"""

from dataclasses import dataclass
from typing import Annotated

from pipeline.recipe import Gate, Quick, Range, Recipe

SCALE = 255.0


@dataclass(frozen=True)
class Params:
    """Words."""

    epochs: Annotated[int, Range(1, 9)] = 5  # at most
    rate: float = 0.1
    size: int = 8
    units: int = 4
    name: str = "adam"
    wide: bool = True
    filters: tuple[int, ...] = (8, 16)


def scaled(x):
    """Words."""
    return x / SCALE


def preprocess(inputs, p):
    """Words."""
    return {"x": scaled(inputs["x"]) * p.size}


def build(p, spec):
    return p.units


RECIPE = Recipe(
    data=None,
    params=Params(),
    preprocess=preprocess,
    build=build,
    gate=Gate(at_least={"accuracy": 0.9}),
    quick=Quick(10, 5, epochs=2),
)
'''


@pytest.fixture
def recipe_text() -> str:
    return RECIPE


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe, with pieces of its text replaced, and reads it."""

    def make(*edits: tuple[str, str], text: str = RECIPE, name: str = "plain") -> catalog.RecipeSource:
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        return catalog.read_recipe(path)

    return make


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Settings with a workspace, data and recipes of their own."""
    return Settings(
        workspace=Workspace(tmp_path / "workspace"),
        data=tmp_path / "data",
        recipe_folders=(tmp_path / "recipes",),
        debug=False,
    )


@pytest.fixture(scope="session")
def encoded():
    """Makes the bytes of an image of random pixels: size as (height, width), Pillow's mode and format."""

    def make(size=(6, 7), mode="L", kind="png", seed=0, **options) -> bytes:
        random = np.random.default_rng(seed)
        if mode == "I;16":
            image = Image.fromarray(random.integers(0, 1 << 16, size, dtype=np.uint16))
        else:
            image = Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return make


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """A database with MLflow's tables, to copy; making them takes seconds."""
    from pipeline.tracking.client import TrackingStore

    folder = tmp_path_factory.mktemp("database")
    assert TrackingStore(f"sqlite:///{folder}/mlflow.db", Workspace(folder)).client
    return folder / "mlflow.db"


@pytest.fixture
def workspace(tmp_path, database):
    shutil.copy(database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture(scope="session")
def tiny_llama():
    """What writes a tiny language model in every form of file, and its logits in plain NumPy."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / "tests" / "tiny_llama.py")))


@pytest.fixture(scope="session")
def tiny_folder(tiny_llama, tmp_path_factory):
    """A folder with the tiny language model as safetensors."""
    return tiny_llama.write_folder(tmp_path_factory.mktemp("tiny") / "TinyLlama")
