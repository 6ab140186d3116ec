"""The layout of the code: folders, layers, and the map of both."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOOSE_FILES = 7
FILES_OF_A_FOLDER = 14
ONE_FILE_EACH = {ROOT / "pipeline/commands", ROOT / "pipeline/datasets"}  # found by their names, however many
LINES_OF_A_FILE = 300


def source_files(*packages):
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_imports_go_down_only_and_in_no_circle():
    answer = run(Path(sys.executable).with_name("lint-imports"))
    assert 0 == answer.returncode, answer.stdout


@pytest.mark.process
def test_the_map_is_that_of_the_code():
    answer = run(sys.executable, "bin/map.py", "--check")
    assert 0 == answer.returncode, answer.stderr


@pytest.mark.parametrize("package", ["pipeline", "serving"])
def test_few_files_lie_loose(package):
    loose = [path.name for path in (ROOT / package).glob("*.py") if path.name != "__init__.py"]
    assert len(loose) <= LOOSE_FILES, loose


@pytest.mark.parametrize("package", ["pipeline", "serving"])
def test_folders_hold_what_an_eye_takes_in(package):
    folders = {path.parent for path in source_files(package)} - {ROOT / package, *ONE_FILE_EACH}
    sizes = {folder.name: len(list(folder.glob("[!_]*.py"))) for folder in folders}
    assert {} == {name: size for name, size in sizes.items() if size > FILES_OF_A_FOLDER}


def test_every_folder_of_tests_has_one_of_sources():
    for package in ("pipeline", "serving"):
        folders = {path.name for path in (ROOT / "tests" / package).iterdir() if list(path.glob("test_*.py"))}
        beyond = {"conformance", "robustness"}  # of the server as a whole
        assert set() == folders - beyond - {path.name for path in (ROOT / package).iterdir()}


def test_files_end_before_they_are_long():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in source_files("pipeline", "serving", "models")
    }
    assert {} == {name: lines for name, lines in lengths.items() if lines > LINES_OF_A_FILE}
