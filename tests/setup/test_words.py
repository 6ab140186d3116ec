"""The words of the code: functions are verbs, classes nouns, in the terms of the field."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Words that say nothing to somebody who reads the code for the first time, as names of modules, classes or functions.
DIALECT = {"told", "asked", "reached", "surroundings", "judged", "found", "beside", "after", "described", "shown", "of"}
# Names of values for which there is nearly always a better noun; the numbers may only fall. Two are fields of JSON
# objects that are printed: of `doctor` and of `sync`.
VAGUE_LOCALS = {"found": 1, "one": 0, "told": 1}


def parsed_files():
    for package in ("pipeline", "serving", "models"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def defined_names(tree):
    return [
        (node.name, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]


def test_no_name_is_of_a_private_dialect():
    places = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path, tree in parsed_files()
        for name, line in [(path.stem, 1), *defined_names(tree)]
        if name.strip("_").lower() in DIALECT
    ]
    assert [] == places


def test_classes_are_nouns_in_capitals():
    names = [
        name for _, tree in parsed_files() for name in re.findall(r"^class (\w+)", ast.unparse(tree), re.MULTILINE)
    ]
    assert [] == [name for name in names if not re.fullmatch(r"_?[A-Z][A-Za-z0-9]*", name)]


def test_vague_locals_do_not_come_back():
    counts = Counter(
        node.id
        for _, tree in parsed_files()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE_LOCALS
    )
    assert all(counts[name] <= most for name, most in VAGUE_LOCALS.items()), counts
