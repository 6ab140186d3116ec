"""A result is reused exactly as long as what it depends on stays the same."""

from __future__ import annotations

import pytest

from pipeline.recipes import fingerprint, hyperparameters

STEPS = (
    "ingest",
    "schema",
    "transform",
    "train",
    "score",
)  # those of `pipeline.runner.digests.StepDigests`, whose import takes seconds


def digests(source, *assignments):
    values = hyperparameters.resolve(source, assignments)
    return {step: fingerprint.step_digest(source, step, values) for step in STEPS}


def changed(before, after):
    return {step for step in STEPS if before[step] != after[step]}


CONFIG = ("SCALE = 255.0", "@dataclass\nclass Config:\n    scale: float = 255.0\n\n\nSCALE = Config().scale")
PROPERTY = (
    "filters: tuple[int, ...] = (8, 16)",
    "filters: tuple = (8,)\n    @property\n    def area(self):\n        return self.size**2",
)

# what stands there already, the edit, the steps that it concerns
EDITS = {
    "a comment": ((), ("SCALE = 255.0", "SCALE = 255.0  # grey levels"), set()),
    "docstrings": ((), ('"""Words."""', '"""Other words."""'), set()),
    "the file's docstring": ((), ("A title", "Another title"), set()),
    "a blank line": ((), ("def build", "\n\ndef build"), set()),
    "build": ((), ("return p.units", "return p.units + 1"), {"train"}),
    "preprocess": ((), ("* p.size", "* p.size * 2"), {"transform"}),
    "a helper of preprocess": ((), ("return x / SCALE", "return x * SCALE"), {"transform"}),
    "a constant of a helper": ((), ("SCALE = 255.0", "SCALE = 127.5"), {"transform"}),
    "the gate": ((), ("0.9", "0.95"), set()),  # TFX's cache sees it in the configuration of the evaluation
    "quick": ((), ("Quick(10, 5", "Quick(11, 5"), {"ingest"}),
    "the data": ((), ("data=None", "data=1"), {"ingest", "schema", "transform", "train", "score"}),
    "a name bound twice": (
        (("SCALE = 255.0", "SCALE = 255.0\nSCALE = SCALE / 2"),),
        ("SCALE = 255.0", "SCALE = 256.0"),
        {"transform"},
    ),
    "a function that is wrapped": (
        (("def preprocess", "scaled = abs(scaled)\n\n\ndef preprocess"),),
        ("return x / SCALE", "return x * SCALE"),
        {"transform"},
    ),
    "an item assignment": (
        (("SCALE = 255.0", "SCALE = {}\nSCALE['x'] = 1"),),
        ("SCALE['x'] = 1", "SCALE['x'] = 2"),
        {"transform"},
    ),
    "a typed local": (
        (("return x / SCALE", "half: float = 0.5\n    return x * half"),),
        ("half: float = 0.5", "half: float = 0.25"),
        {"transform"},
    ),
    "a field of another class": ((CONFIG,), ("scale: float = 255.0", "scale: float = 1.0"), {"transform"}),
    "a property of the hyperparameters": ((PROPERTY,), ("self.size**2", "self.size**3"), {"transform", "train"}),
}


@pytest.mark.parametrize(("already", "edit", "steps"), EDITS.values(), ids=EDITS)
def test_an_edit_concerns_the_steps_that_depend_on_it(recipe, already, edit, steps):
    before = digests(recipe(*already))
    assert steps == changed(before, digests(recipe(*already, edit)))


def test_an_edited_statement_without_a_name_concerns_every_step(recipe):
    before = digests(recipe(("SCALE = 255.0", "SCALE = 255.0\nprint(1)")))
    assert set(STEPS) == changed(before, digests(recipe(("SCALE = 255.0", "SCALE = 255.0\nprint(2)"))))


def test_a_hyperparameter_concerns_the_steps_that_read_it(recipe):
    source = recipe()
    before = digests(source)
    assert {"train"} == changed(before, digests(source, "units=5"))
    assert {"transform", "train"} == changed(before, digests(source, "size=9"))
    assert set() == changed(before, digests(source, "size=8"))


def test_an_edited_default_concerns_what_reads_it(recipe):
    before = digests(recipe())
    assert {"train"} == changed(before, digests(recipe(("units: int = 4", "units: int = 5"))))
    assert set() == changed(before, digests(recipe(("Range(1, 9)", "Range(1, 99)"))))


def test_imported_files_of_ones_own_count_and_theirs(recipe, tmp_path):
    (tmp_path / "inner.py").write_text("ONE = 1\n")
    (tmp_path / "beside.py").write_text("import inner\n")
    edit = ("SCALE = 255.0", "import beside\nSCALE = 255.0")
    whole, before = fingerprint.recipe_digest(recipe(edit)), digests(recipe(edit))
    (tmp_path / "inner.py").write_text("ONE = 2\n")
    assert set(STEPS) == changed(before, digests(recipe(edit)))
    assert whole != fingerprint.recipe_digest(recipe(edit))


REGISTERED = """BLOCKS = {}


def register(function):
    BLOCKS[function.__name__] = function


@register
def plain(x):
    return x + 1


def build"""
COLLECTED = """class Block:
    known = []

    def __init_subclass__(cls):
        Block.known.append(cls)


class Plain(Block):
    step = 1


def build"""
BY_TEXT = """def plain(x):
    return x + 1


def build"""


@pytest.mark.parametrize(
    ("text", "use", "edit"),
    [
        (REGISTERED, "BLOCKS['plain'](p.units)", ("x + 1", "x + 2")),
        (COLLECTED, "Block.known[0].step", ("step = 1", "step = 2")),
        (BY_TEXT, "globals()['plain'](p.units)", ("x + 1", "x + 2")),
        (BY_TEXT, "eval('plain')(p.units)", ("x + 1", "x + 2")),
    ],
)
def test_what_a_name_in_a_text_reaches_counts(recipe, text, use, edit):
    edits = ("def build", text), ("return p.units", f"return {use}")
    before = digests(recipe(*edits))
    assert "train" in changed(before, digests(recipe(*edits, edit)))


@pytest.mark.parametrize("line", ["from wines.common import *", "from .common import UNITS", "from . import common"])
def test_the_modules_of_an_own_package_count(recipe, tmp_path, line):
    package = tmp_path / "wines"
    package.mkdir()
    for name, text in {"__init__": "", "common": "UNITS = 4", "inner": line}.items():
        (package / f"{name}.py").write_text(f"{text}\n")
    edit = ("SCALE = 255.0", "from wines import inner\nSCALE = 255.0 + len(dir(inner))")
    before = digests(recipe(edit))
    (package / "common.py").write_text("UNITS = 5\n")
    assert {"transform"} <= changed(before, digests(recipe(edit)))


def test_files_that_are_not_imported_do_not_count(recipe, tmp_path):
    (tmp_path / "beside.py").write_text("ONE = 1\n")
    before = fingerprint.recipe_digest(recipe())
    (tmp_path / "beside.py").write_text("ONE = 2\n")
    assert before == fingerprint.recipe_digest(recipe())


def test_without_keywords_everything_counts(recipe):
    text = '"""Words."""\nRECIPE = make()\n'
    before = fingerprint.step_digest(recipe(text=text), "transform", {"a": 1})
    assert before != fingerprint.step_digest(recipe(text=text), "transform", {"a": 2})
    assert before != fingerprint.step_digest(recipe(text=text + "X = 1\n"), "transform", {"a": 1})
