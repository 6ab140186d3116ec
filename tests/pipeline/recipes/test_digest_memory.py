"""The remembered digest of a run's code is that of the code as it is now."""

from __future__ import annotations

import os

import pytest

from pipeline.recipes import catalog, digest_memory, fingerprint, imports
from pipeline.runs.run import RUNNER

pytestmark = pytest.mark.heavy


@pytest.fixture
def path(recipe):
    """The file of a recipe with a module of its own."""
    source = recipe(("SCALE = 255.0", "import own\n\nSCALE = 255.0 * own.UNITS"))
    source.path.with_name("own.py").write_text("UNITS = 4\n")
    source.path.with_name("own").mkdir()
    return source.path


def remembered(path, memory):
    return digest_memory.run_digest(catalog.read_recipe(path), RUNNER, memory)


def computed(path):
    return fingerprint.run_digest(catalog.read_recipe(path), RUNNER)


def test_nothing_is_parsed_while_nothing_changes(path, tmp_path, monkeypatch):
    first = remembered(path, tmp_path / "memory.json")
    assert computed(path) == first
    monkeypatch.setattr(fingerprint, "run_digest", lambda *_: pytest.fail("parsed again"))
    assert first == remembered(path, tmp_path / "memory.json")


def edit_recipe(path):
    path.write_text(path.read_text() + "\nEXTRA = 1\n")


def edit_module(path):
    path.with_name("own.py").write_text("UNITS = 5\n")


def edit_module_with_its_old_date(path):
    own = path.with_name("own.py")
    status = own.stat()
    own.write_text("UNITS = 5\n")
    os.utime(own, ns=(status.st_atime_ns, status.st_mtime_ns))


def make_a_package_of_a_folder(path):
    """Python takes a package before a module of its name, and a module before a plain folder."""
    (path.parent / "own" / "__init__.py").write_text("UNITS = 7\n")


@pytest.mark.parametrize(
    "change",
    [
        edit_recipe,
        edit_module,
        edit_module_with_its_old_date,
        make_a_package_of_a_folder,
    ],
)
def test_a_change_is_seen(path, tmp_path, change):
    first = remembered(path, tmp_path / "memory.json")
    change(path)
    imports.locate.cache_clear()  # another process would look again
    assert first != remembered(path, tmp_path / "memory.json")
    assert computed(path) == remembered(path, tmp_path / "memory.json")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"basis": 1}'])
def test_a_damaged_memory_is_made_anew(path, tmp_path, content):
    memory = tmp_path / "memory.json"
    memory.write_text(content)
    assert computed(path) == remembered(path, memory)
