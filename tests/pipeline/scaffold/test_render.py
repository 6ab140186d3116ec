"""The written recipe: laid out by ruff, complete, read without importing anything."""

from __future__ import annotations

import ast
import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.commands import show
from pipeline.recipes import catalog, hyperparameters
from pipeline.scaffold import inspect, render
from pipeline.settings import ROOT

RUFF = shutil.which("ruff", path=str(Path(sys.executable).parent))
FIELDS = {"epochs", "batch_size", "patience", "learning_rate"}
# Text of a CSV file: Python's reader does not take NUL, and lines end as it reads them.
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=12).map(str.strip)
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=12)


def whole(source: catalog.RecipeSource) -> None:
    """The recipe has what the catalogue, `show` and the contract ask of one."""
    assert 10 <= len(source.heading.title) <= 110
    assert all(source.heading.field(field) for field in ("Paper", "Data", "Task", "Command"))
    assert "," in source.heading.field("Data")
    assert "keraspipe run mine" == source.heading.field("Command")
    assert "not measured yet." == source.heading.field("Reaches")
    assert hyperparameters.fields(source).keys() >= FIELDS
    gate = show.read_gate(source)
    assert gate["no_worse"]
    assert all(isinstance(bound, float) for bound in {**gate.get("at_least", {}), **gate.get("at_most", {})}.values())
    assert all(len(line) <= 120 for line in source.heading.docstring.splitlines())
    # Nothing is done at import: imports, definitions, names.
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.Expr)
    assert all(isinstance(node, allowed) for node in source.tree.body)


def ruff(text: str, *arguments: str) -> str:
    options = ["--config", str(ROOT / "pyproject.toml"), "--stdin-filename", str(ROOT / "models" / "mine.py"), "-"]
    done = subprocess.run([RUFF, *arguments, *options], input=text, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.fixture(
    params=[
        "table",
        "numbers",
        "keys",
        "dates",
        "names",
        "kinds",
        "mixed",
        "notes",
        "three notes",
        "many notes",
        "regression",
        "words",
        "series",
        "image",
        "text",
        "audio",
        "unequal",
        "purchases",
        "ratings",
    ]
)
def any_draft(request, drafted, write_csv, trees, series):
    """A recipe of every kind."""
    numbers = {name: trees[name] for name in ("height (m)", "age", "grown")}
    words = {name: trees[name] for name in ("note", "grown")}
    three = {"remark": trees["note"][::-1], "last": trees["note"][50:] + trees["note"][:50], **words}
    unequal = {**numbers, "grown": [["a", "b", "c" if number % 20 == 2 else "a"][number % 3] for number in range(200)]}
    bought = {"user_id": [n // 20 for n in range(800)], "sku": [n * n // 7 % 61 for n in range(800)]}
    said = {
        "stars": [n % 5 for n in range(800)],
        "time": list(range(800)),
        "title": [f"{n * n // 7 % 61} g" for n in range(800)],
    }
    tables = {
        "purchases": (bought, ""),
        "ratings": (bought | said, ""),
        "table": (trees, "grown"),
        "numbers": ({**numbers, "height (m)": trees["price"]}, "grown"),
        "keys": ({name: trees[name] for name in ("owner_id", "age", "grown")}, "grown"),
        "dates": ({name: trees[name] for name in ("planted", "owner_id", "grown")}, "grown"),
        "names": ({name: trees[name] for name in ("kind", "owner_id", "grown")}, "grown"),
        "kinds": (
            {"kind": trees["kind"], "other": trees["art"][::-1], "third": list("abcde") * 40, "grown": trees["grown"]},
            "grown",
        ),
        "mixed": ({"remark": trees["note"][::-1], "kind": trees["kind"], **words}, "grown"),
        "notes": ({"remark": trees["note"][::-1], **words}, "grown"),
        "three notes": (three, "grown"),
        "many notes": (trees | three | {"fourth": trees["note"][100:] + trees["note"][:100]}, "price"),
        "regression": (trees, "price"),
        "words": (words, "grown"),
        "series": (series, "sold"),
        "unequal": (unequal, "grown"),
    }
    if request.param in tables:
        columns, target = tables[request.param]
        return drafted(write_csv(columns), target)
    folders = {"image": "images", "text": "texts", "audio": "recordings"}
    return drafted(request.getfixturevalue(folders[request.param]))


def test_every_kind_is_whole(any_draft):
    whole(any_draft.source)
    assert 60 <= len(any_draft.text.splitlines()) <= 250


@pytest.mark.process
@pytest.mark.skipif(RUFF is None, reason="ruff is a tool of development")
def test_every_kind_is_laid_out_and_sound(any_draft):
    assert any_draft.text == ruff(any_draft.text, "format")
    # The paths of these data lie in the folder for temporary files.
    assert "" == ruff(any_draft.text, "check", "--ignore", "S108", "--output-format", "concise").replace(
        "All checks passed!\n", ""
    )


@pytest.mark.heavy
@given(st.data())
@settings(max_examples=60)
def test_odd_names_and_values_are_written_as_they_are(data):
    names = data.draw(st.lists(NAMES.filter(bool), min_size=3, max_size=6, unique_by=str.casefold))
    cells = data.draw(st.lists(CELLS, min_size=3, max_size=8, unique=True))
    assume(not {*names} & {*cells})  # a name that comes again below may be no header
    classes = data.draw(
        st.lists(st.text("ab'\"\\é日#{}%", min_size=1, max_size=5), min_size=2, max_size=4, unique=True)
    )
    rows = [
        [cells[(number * (place + 3)) % len(cells)] for place in range(len(names) - 2)]
        + [number % 17 / 10, classes[number % len(classes)]]
        for number in range(60)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.tsv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter="\t").writerows([names, *rows])
        plan = inspect.make_plan(path, names[-1], "classification")
        recipe = Path(folder) / "mine.py"
        recipe.write_text(render.render_recipe(plan, "mine"), encoding="utf-8")
        source = catalog.read_recipe(recipe)
        whole(source)
        constants = {node.value for node in ast.walk(source.tree) if isinstance(node, ast.Constant)}
        assert {*classes, names[-1]} <= constants


def test_the_data_set_of_the_recipe_reads_the_data(drafted, write_csv, trees):
    found = drafted(write_csv(trees), "grown")
    recipe = catalog.load_recipe(found.source.path)
    rows = list(recipe.data.examples(Path("/")))
    assert 200 == len(rows)
    assert [] == [row.fault for row in rows if row.fault]
    assert {"height_m", "kind", "note", "planted", "owner_id"} <= recipe.data.inputs.keys()
    assert trees["height (m)"] == [row.features["height_m"] for row in rows]
    assert ("grown", ("no", "yes")) == (recipe.data.label, recipe.data.classes)


@pytest.mark.parametrize(("folder", "shape"), [("images", (10, 12, 1)), ("recordings", (30, 40, 1))])
def test_files_are_preprocessed_and_a_network_is_built_on_them(request, drafted, folder, shape):
    import tensorflow as tf

    from pipeline.recipe import Spec

    recipe = catalog.load_recipe(drafted(request.getfixturevalue(folder)).source.path)
    ((name, _),) = recipe.data.inputs.items()
    rows = [row.features[name] for row in list(recipe.data.examples(Path("/")))[:3]]
    ((feature, values),) = recipe.preprocess({name: tf.constant(rows)}, recipe.params).items()
    assert (3, *shape) == values.shape
    spec = Spec({feature: (shape, "float32")}, recipe.data.classes, 10)
    assert (3, 2) == recipe.build(recipe.params, spec)({feature: values}, training=False).shape
