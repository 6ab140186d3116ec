"""Small data of every kind, and the command's plan and text for them."""

from __future__ import annotations

import csv
import io
import math
import random
import wave
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from pipeline.recipes import catalog
from pipeline.scaffold import inspect, render
from pipeline.scaffold.table import plan_table

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Drafted:
    """A plan, the recipe's text, and the recipe as the command line reads it."""

    plan: object
    text: str
    source: catalog.RecipeSource

    @property
    def uses(self) -> dict[str, str]:
        """What each column is used as, or why it is left out."""
        return {row[0]: row[-1] for row in self.plan.rows}


@pytest.fixture
def drafted(tmp_path):
    """Plans and drafts a recipe over a path."""

    def make(path: Path, target: str = "", task: str = "") -> Drafted:
        plan = inspect.make_plan(path, target, task)
        text = render.render_recipe(plan, "mine")
        file = tmp_path / "recipes" / "mine.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return Drafted(plan, text, catalog.read_recipe(file))

    return make


@pytest.fixture
def write_csv(tmp_path):
    """Writes columns as a CSV file."""

    def write(columns: dict[str, list[object]], name: str = "data.csv") -> Path:
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        return path

    return write


@pytest.fixture
def plan(write_csv):
    """Plans a recipe for columns."""
    return lambda columns, target="price", task="": plan_table(write_csv(columns), target, task)


def table(rows: int = 200) -> dict[str, list[object]]:
    """A table with one column of every kind; `grown` depends on `height` and `kind`."""
    drawn = random.Random(1)
    heights = [round(drawn.gauss(10, 2), 2) for _ in range(rows)]
    kinds = [drawn.choice(["oak", "elm", "ash"]) for _ in range(rows)]
    words = ["leaf", "bark", "old", "wet", "tall", "dry", "root", "moss"]
    return {
        "no": list(range(1, rows + 1)),
        "height (m)": heights,
        "age": [drawn.choice(["", drawn.randint(1, 9)]) for _ in range(rows)],
        "price": [round(math.exp(drawn.gauss(0, 2)), 2) for _ in range(rows)],
        "owner_id": [drawn.randint(1, 30) for _ in range(rows)],
        "kind": kinds,
        "art": [{"oak": "Eiche", "elm": "Ulme", "ash": "Esche"}[kind] for kind in kinds],
        "planted": [(date(2020, 1, 1) + timedelta(days=drawn.randint(0, 900))).isoformat() for _ in range(rows)],
        "note": [" ".join(drawn.choices(words, k=6)) for _ in range(rows)],
        "country": ["DE"] * rows,
        "grown": ["yes" if h + 2 * (k == "oak") > 10.5 else "no" for h, k in zip(heights, kinds, strict=True)],
    }


@pytest.fixture
def trees() -> dict[str, list[object]]:
    return table()


@pytest.fixture
def images(tmp_path) -> Path:
    """Sixty images of 12x10 in two classes, light and dark."""
    from PIL import Image

    folder = tmp_path / "shades"
    drawn = random.Random(1)
    for name, level in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            pixels = bytes(level + drawn.randint(-30, 30) for _ in range(120))
            Image.frombytes("L", (12, 10), pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def texts(tmp_path) -> Path:
    """Sixty texts in two classes."""
    folder = tmp_path / "opinions"
    drawn = random.Random(1)
    for name, words in (("bad", ["awful", "dull", "slow"]), ("good", ["great", "fine", "fast"])):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            (folder / name / f"{number}.txt").write_text(" ".join(drawn.choices([*words, "the", "a", "film"], k=12)))
    return folder


@pytest.fixture
def recordings(tmp_path) -> Path:
    """Sixty tones of half a second at 8 kHz in two classes, low and high."""
    folder = tmp_path / "tones"
    drawn = random.Random(1)
    for name, pitch in (("low", 300), ("high", 1500)):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            hertz = pitch * drawn.uniform(0.8, 1.2)
            samples = [int(8000 * math.sin(2 * math.pi * hertz * t / 8000)) for t in range(4000)]
            (folder / name / f"{number}.wav").write_bytes(wav(samples))
    return folder


def wav(samples: list[int], rate: int = 8000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
    return out.getvalue()


@pytest.fixture
def series() -> dict[str, list[object]]:
    """Two years of days: a wave of a week, a second column, noise."""
    drawn = random.Random(1)
    days = [date(2020, 1, 1) + timedelta(days=number) for number in range(730)]
    return {
        "day": [day.isoformat() for day in days],
        "sold": [round(50 + 20 * math.sin(2 * math.pi * day.weekday() / 7) + drawn.gauss(0, 3), 2) for day in days],
        "rain": [round(drawn.expovariate(1), 2) for _ in days],
        "weather": [drawn.choice(["sun", "cloud"]) for _ in days],
    }
