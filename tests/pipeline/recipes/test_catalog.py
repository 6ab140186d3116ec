"""Recipes are found by file name and read without being imported."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.recipes import catalog
from pipeline.runs import run
from pipeline.settings import ROOT, Settings, from_environment


def test_syntax_error_names_the_line(recipe):
    with pytest.raises(PipelineError) as caught:
        recipe(("def build(p, spec):", "def build(p, spec:"))
    assert "syntax error in line 3" in str(caught.value)
    assert "Next: correct line 3" in str(caught.value)


def test_without_recipe_the_top_level_names_are_reported(recipe):
    with pytest.raises(PipelineError) as caught:
        recipe(("RECIPE = Recipe(", "OTHER = Recipe("))
    assert "Received: top-level names Params, build, preprocess, scaled" in str(caught.value)


def test_file_that_is_not_utf8(tmp_path):
    path = tmp_path / "latin.py"
    path.write_bytes('"""Größe"""'.encode("latin-1"))
    with pytest.raises(PipelineError, match="is not text in UTF-8"):
        catalog.read_recipe(path)


def test_null_byte(tmp_path):
    path = tmp_path / "null.py"
    path.write_bytes(b"RECIPE = 1\0")
    with pytest.raises(PipelineError, match="syntax error"):
        catalog.read_recipe(path)


def test_title_and_keywords(recipe):
    source = recipe()
    assert "A title. And more" == source.heading.title
    assert {"data", "params", "preprocess", "build", "gate", "quick"} == set(source.keywords)
    assert "plain" == source.name


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_the_heading_is_the_same_from_byte_code(path):
    assert catalog.read_heading(path) == catalog.read_recipe(path).heading


@pytest.mark.parametrize("docstring", ["", "A.", "  A\n\n    Task: b\n    "])
def test_the_heading_of_an_odd_docstring(tmp_path, docstring):
    path = tmp_path / "odd.py"
    path.write_text(f"{docstring and repr(docstring)}\nRECIPE = 1")
    assert catalog.read_heading(path) == catalog.read_recipe(path).heading


@pytest.mark.parametrize(
    "content", [b"RECIPE = 1\0", b"RECIPE = (", b'"""Gr\xf6\xdfe"""\nRECIPE = 1', b"OTHER = 1", b""]
)
def test_the_heading_of_what_is_no_recipe_is_the_same_error(tmp_path, content):
    path = tmp_path / "broken.py"
    path.write_bytes(content)
    with pytest.raises(PipelineError) as expected:
        catalog.read_recipe(path)
    with pytest.raises(PipelineError) as caught:
        catalog.read_heading(path)
    assert str(expected.value) == str(caught.value)


def test_annotated_assignment_declares_a_recipe(recipe):
    assert "build" in recipe(("RECIPE = Recipe(", "RECIPE: Recipe = Recipe(")).keywords


def test_recipe_made_by_a_function_has_no_keywords(recipe):
    assert {} == recipe(text='"""Words."""\nRECIPE = make()\n').keywords


@pytest.fixture
def folders(tmp_path, recipe_text):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, names in ((first, ["same", "alone"]), (second, ["same", "other", "_private"])):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.py").write_text(recipe_text)
    return Settings(recipe_folders=(first, second, tmp_path / "absent"))


def test_a_folder_is_no_recipe(tmp_path):
    (tmp_path / "mine.py").mkdir()
    settings = SimpleNamespace(recipe_folders=[tmp_path])
    assert {} == catalog.recipe_paths(settings)


def test_earlier_folder_wins_and_private_files_are_no_recipes(folders):
    first, second, _ = folders.recipe_folders
    expected = {"alone": first / "alone.py", "other": second / "other.py", "same": first / "same.py"}
    assert expected == catalog.recipe_paths(folders)
    assert first / "same.py" == catalog.find_recipe("same", folders).path


@pytest.mark.parametrize(
    ("name", "words"), [("othr", "did you mean other?"), ("zzz", "list them with: keraspipe models")]
)
def test_unknown_name(folders, name, words):
    with pytest.raises(UsageError) as caught:
        catalog.find_recipe(name, folders)
    assert "Expected: one of alone, other, same" in str(caught.value)
    assert words in str(caught.value)


def test_environment_adds_folders_behind_the_catalogue(monkeypatch, tmp_path):
    monkeypatch.setenv("KERASPIPE_RECIPES", f"{tmp_path}:~/mine")
    folders = from_environment().recipe_folders
    assert (ROOT / "models", tmp_path) == folders[:2]
    assert folders[2].is_absolute()
    assert "~" not in str(folders[2])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise KeyError('gone')\nRECIPE = 1", "Received: KeyError: 'gone'"),
        ("import no_such_module\nRECIPE = 1", "ModuleNotFoundError"),
        ("RECIPE = 1", "Received: int"),
    ],
)
def test_recipe_that_cannot_be_imported(recipe, text, words):
    with pytest.raises(PipelineError) as caught:
        catalog.load_recipe(recipe(text=text).path)
    assert words in str(caught.value)


def test_edited_file_is_loaded_anew(recipe):
    assert 4 == catalog.load_recipe(recipe().path).params.units
    assert 6 == catalog.load_recipe(recipe(("units: int = 4", "units: int = 6")).path).params.units
    del sys.modules["keraspipe_recipe_plain"]


def test_a_run_keeps_the_recipe_it_began_with(recipe):
    source = recipe()
    pinned = catalog.pin_recipe(source)
    source.path.write_text(source.text.replace("units: int = 4", "units: int = 6"))
    assert pinned is catalog.load_recipe(source.path)
    assert 4 == pinned.params.units
    assert not (source.path.parent / "__pycache__").exists()
    del catalog._PINNED[source.path], sys.modules["keraspipe_recipe_plain"]


@pytest.mark.parametrize(
    ("quick", "epochs"),
    [("Quick(10, 5, epochs=2)", 2), ("Quick(10, 5, 7)", 7), ("Quick()", 3), ("Quick(train_rows=9)", 3)],
)
def test_quick_epochs_are_read_from_the_text(recipe, quick, epochs):
    source = recipe(("Quick(10, 5, epochs=2)", quick))
    assert epochs == run.quick_epochs(source)
    assert epochs == catalog.load_recipe(source.path).quick.epochs


def test_quick_epochs_without_quick(recipe):
    assert 3 == run.quick_epochs(recipe(("    quick=Quick(10, 5, epochs=2),\n", "")))


def test_a_recipe_imports_the_modules_next_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "own_units.py").write_text("UNITS = 4\n")
    path = tmp_path / "uses_own.py"
    lines = (
        "from own_units import UNITS",
        "from pipeline.recipe import Recipe",
        "RECIPE = Recipe(None, UNITS, None, None)",
    )
    path.write_text("\n".join(lines))
    assert 4 == catalog.load_recipe(path).params
