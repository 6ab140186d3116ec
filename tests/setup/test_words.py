"""The words of the code: functions are verbs, classes nouns, in the terms of the field."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Words that say nothing to somebody who reads the code for the first time, as names of modules, classes or functions.
DIALECT = {"told", "asked", "reached", "surroundings", "judged", "found", "beside", "after", "described", "shown", "of"}
# Names of values for which there is nearly always a better noun; the numbers may only fall. Two are fields of JSON
# objects that are printed: of `doctor` and of `sync`.
VAGUE_LOCALS = {"found": 1, "one": 0, "told": 1}


def modules():
    return [path for package in ("pipeline", "serving", "models") for path in sorted((ROOT / package).rglob("*.py"))]


@functools.cache
def named_nodes():
    """(path, node) of each definition and each local that is set; every file is parsed once."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Name
    return [
        (path, node)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds) and not (isinstance(node, ast.Name) and node.id not in VAGUE_LOCALS)
    ]


def definitions():
    return [(path, node) for path, node in named_nodes() if not isinstance(node, ast.Name)]


def test_no_name_is_of_a_private_dialect():
    names = [(path, 1, path.stem) for path in modules()]
    names += [(path, node.lineno, node.name) for path, node in definitions()]
    places = [
        f"{path.relative_to(ROOT)}:{line} {name}" for path, line, name in names if name.strip("_").lower() in DIALECT
    ]
    assert [] == places


def test_classes_are_nouns_in_capitals():
    names = [node.name for _, node in definitions() if isinstance(node, ast.ClassDef)]
    assert len(names) > 100
    assert [] == [name for name in names if not re.fullmatch(r"_?[A-Z][A-Za-z0-9]*", name)]


def test_vague_locals_do_not_come_back():
    counts = Counter(
        node.id for _, node in named_nodes() if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    assert all(counts[name] <= most for name, most in VAGUE_LOCALS.items()), counts
