"""A step's digest covers what the step runs, wherever it lies, and nothing else."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from pipeline.recipes import catalog, fingerprint, import_closure, imports
from pipeline.settings import ROOT

pytestmark = pytest.mark.heavy

STEPS = ("ingest", "schema", "transform", "train", "score")
SOURCES = {
    path.stem: catalog.read_recipe(path) for path in sorted((ROOT / "models").glob("*.py")) if path.stem[0] != "_"
}


def entry(step, root=ROOT):
    return root / "pipeline" / "steps" / f"{step}.py"


@pytest.fixture
def package(tmp_path):
    """Writes modules of a project that has only these, by path, and gives the closure of the first one."""

    def make(**texts):
        for name, text in {"pipeline.__init__": "", **texts}.items():
            path = tmp_path / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        start = tmp_path / f"{next(iter(texts)).replace('.', '/')}.py"
        import_closure._read_once.cache_clear()
        imports.locate.cache_clear()
        return import_closure.import_closure([start], tmp_path), tmp_path

    return make


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from pipeline import b", {"b"}),
        ("from pipeline.b import ONE", {"b"}),
        ("import pipeline.b", {"b"}),
        ("import pipeline.b as other", {"b"}),
        ("from . import b", {"b"}),
        ("from .b import ONE", {"b"}),
        ("from pipeline.c import inner", {"c.__init__", "c.inner"}),
        ("from pipeline.c.inner import ONE", {"c.__init__", "c.inner"}),
        ("def f():\n    from pipeline import b", {"b"}),
        ("if TYPE_CHECKING:\n    from pipeline import b", set()),
        ("if typing.TYPE_CHECKING:\n    from pipeline import b\nelse:\n    import pipeline.c", {"c.__init__"}),
        ("RUN = 'pipeline.b.run_fn'", {"b"}),
        ("COMMAND = ['python', '-m', 'pipeline.c']", {"c.__init__", "c.__main__"}),
        ("import_module(f'pipeline.c.{name}')", {"c.__init__", "c.__main__", "c.inner"}),
        ("from pipeline.lazy import ONE", {"lazy", "b"}),
        ("from pipeline.table import ONE", {"table", "b"}),
        ("from pipeline.table import inner", {"table", "b"}),
        ("import json, os.path", set()),
        ("'''The module pipeline.b in words.'''", set()),
    ],
)
def test_imports_are_followed_as_they_run(package, text, names):
    modules = {
        "pipeline.a": text,
        "pipeline.b": "ONE = 1",
        "pipeline.c.__init__": "",
        "pipeline.c.__main__": "",
        "pipeline.c.inner": "ONE = 1",
        "pipeline.lazy": "def __getattr__(name):\n    from pipeline import b\n    return getattr(b, name)",
        "pipeline.table": "NAMES = {'ONE': 'pipeline.b'}\n\n\ndef __getattr__(name):\n    return load(NAMES[name])",
        "pipeline.alone": "",
    }
    closure, root = package(**modules)
    expected = {f"pipeline.{name}" for name in {"a", "__init__", *names}}
    assert expected == {".".join(path.relative_to(root).with_suffix("").parts) for path in closure}


def digest(package, **texts):
    closure, root = package(**texts)
    result = import_closure.digest_code(closure, root)
    for path in closure:
        path.unlink()
    return result


@pytest.mark.parametrize(
    "user",
    [
        "from pipeline import atomic\n\n\ndef f():\n    atomic.write(1)\n",
        "from pipeline import atomic as files\n\n\ndef f():\n    files.write(1)\n",
        "import pipeline.atomic\n\n\ndef f():\n    pipeline.atomic.write(1)\n",
        "from pipeline.atomic import write\n\n\ndef f():\n    write(1)\n",
        "def f():\n    from pipeline.atomic import write\n\n    write(1)\n",
        "NAME = 'pipeline.atomic.write'\n",
    ],
)
def test_a_moved_module_changes_no_digest(package, user):
    text = "def write(value):\n    return value\n"
    before = digest(package, **{"pipeline.a": user, "pipeline.atomic": text})
    moved = re.sub(r"\batomic\b", "fileio", user)
    assert before == digest(package, **{"pipeline.a": moved, "pipeline.fileio": text})
    assert before != digest(
        package, **{"pipeline.a": moved, "pipeline.fileio": text.replace("return value", "return 2")}
    )


_FUNCTION = "def f():\n    return 1\n"
_ELSE = f"else:\n{textwrap.indent(_FUNCTION, '    ')}"


@pytest.mark.parametrize(
    "text",
    [
        f"if TYPE_CHECKING:\n    X = 1\n{_ELSE}",
        f"if TYPE_CHECKING:\n    X = 1\nelif TYPE_CHECKING:\n    X = 2\n{_ELSE}",
        f"if TYPE_CHECKING:\n    X = 1\nelse:\n    if TYPE_CHECKING:\n        X = 1\n{textwrap.indent(_ELSE, '    ')}",
    ],
)
def test_what_runs_in_place_of_a_block_for_types_counts(package, text):
    """At the top of a file as anywhere else."""
    assert digest(package, **{"pipeline.a": text}) == digest(package, **{"pipeline.a": _FUNCTION})
    assert digest(package, **{"pipeline.a": text}) != digest(package, **{"pipeline.a": _FUNCTION.replace("1", "2")})
    nested, inner = (f"def g():\n{textwrap.indent(each, '    ')}" for each in (text, _FUNCTION))
    assert digest(package, **{"pipeline.a": nested}) == digest(package, **{"pipeline.a": inner})


def test_a_moved_file_may_be_the_step_itself(package):
    assert digest(package, **{"pipeline.a": "ONE = 1"}) == digest(package, **{"pipeline.z": "ONE = 1"})


def test_names_taken_from_another_module_change_the_digest(package):
    modules = {"pipeline.b": "ONE = 1\nTWO = 2", "pipeline.c": "ONE = 3\nTWO = 4"}
    user = "from pipeline.b import ONE\nfrom pipeline.c import TWO\n"
    before = digest(package, **{"pipeline.a": user}, **modules)
    crossed = "from pipeline.c import ONE\nfrom pipeline.b import TWO\n"
    assert before != digest(package, **{"pipeline.a": crossed}, **modules)
    turned = "from pipeline.c import TWO\nfrom pipeline.b import ONE\n"
    assert before == digest(package, **{"pipeline.a": turned}, **modules)


def test_comments_docstrings_and_formatting_change_no_digest(package):
    before = digest(package, **{"pipeline.a": '"""Words."""\n\n\ndef f(x):\n    """Words."""\n    return (x + 1)\n'})
    after = digest(package, **{"pipeline.a": '"""Others."""\ndef f(x):  # a comment\n    return x + 1\n'})
    assert before == after


def test_angle_brackets_in_a_text_are_no_file(package):
    """As in a label in Dirac's notation; modules are marked with the same ones inside a digest."""
    texts = [f'LABEL = "{text}"\nFILES = f"pipeline.b{{1}}{text}"' for text in ("\u27e8x\u27e9", "\u27e8y\u27e9")]
    one, other = (digest(package, **{"pipeline.a": text, "pipeline.b": "ONE = 1"}) for text in texts)
    assert one != other


@pytest.fixture
def copy(tmp_path):
    """A copy of the project's packages, whose modules the tests edit."""
    for name in imports.PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "uv.lock", tmp_path)
    return tmp_path


def digests(source, root):
    import_closure._read_once.cache_clear()
    return {step: fingerprint.code_digest(source, step, root) for step in STEPS}


def changed(before, after):
    return {step for step in STEPS if before[step] != after[step]}


def holders(source, root):
    """The steps that run each file, as the closures themselves say."""
    steps = {}
    for step in STEPS:
        code = import_closure.analyze(fingerprint._step_nodes(source, step, root), source.path, root)
        for path in import_closure.import_closure(
            [entry(step, root), *import_closure.reachable_files(code, root)], root
        ):
            steps.setdefault(path, set()).add(step)
    return steps


def test_an_edit_changes_the_digests_of_the_steps_that_run_the_file_alone(copy):
    source = SOURCES["digits"]
    before, files = digests(source, copy), holders(source, copy)
    assert 60 < len(files)
    assert all(path.is_relative_to(copy) for path in files)
    for path, steps in files.items():
        text = path.read_text()
        path.write_text(f"{text}\nEDITED = 1\n")
        assert (path, steps) == (path, changed(before, digests(source, copy)))
        path.write_text(text)


def test_a_comment_and_a_docstring_change_no_step(copy):
    source = SOURCES["digits"]
    before = digests(source, copy)
    for path in holders(source, copy):
        text = path.read_text().replace('"""', '"""Further words. ', 1)
        path.write_text(f"# a comment\n{text}")
    assert before == digests(source, copy)


def test_other_files_of_the_project_change_no_step(copy):
    source = SOURCES["digits"]
    before = digests(source, copy)
    for name in (
        "tracking/writer",
        "monitoring/report",
        "cli",
        "datasets/xor",
        "reports/card_content",
        "evaluation/gate",
        "steps/gate",
    ):
        path = copy / "pipeline" / f"{name}.py"
        path.write_text(path.read_text() + "\nEDITED = 1\n")
    assert before == digests(source, copy)


def test_a_data_set_concerns_the_recipes_that_use_it(copy):
    before = {name: digests(source, copy) for name, source in SOURCES.items()}
    path = copy / "pipeline" / "datasets" / "xor.py"
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    after = {name: digests(source, copy) for name, source in SOURCES.items()}
    assert {"xor"} == {name for name in SOURCES if before[name] != after[name]}
    assert set(STEPS) == changed(before["xor"], after["xor"])


def test_the_lock_file_concerns_all_steps(copy):
    source = SOURCES["digits"]
    before = digests(source, copy)
    (copy / "uv.lock").write_text("other")
    fingerprint._lock_digest.cache_clear()
    assert set(STEPS) == changed(before, digests(source, copy))


def moved(text):
    """A module's text once `pipeline.store.fileio` is `pipeline.training.whole_files`."""
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        if "fileio" in names and node.module == "pipeline.store":
            rest = ", ".join(name for name in names if name != "fileio")
            lines = [
                "from pipeline.training import whole_files",
                *([f"from pipeline.store import {rest}"] if rest else []),
            ]
            text = text.replace(ast.get_source_segment(text, node), f"\n{' ' * node.col_offset}".join(lines))
    text = text.replace("from pipeline.store.fileio import", "from pipeline.training.whole_files import")
    return re.sub(r"(?<![\w.])fileio\.", "whole_files.", text)


def test_a_move_in_the_project_changes_no_digest(copy):
    source = SOURCES["digits"]
    before = digests(source, copy)
    (copy / "pipeline/store/fileio.py").rename(copy / "pipeline/training/whole_files.py")
    for path in copy.rglob("*.py"):
        path.write_text(moved(path.read_text()))
    imports.locate.cache_clear()
    assert before == digests(source, copy)


@pytest.mark.parametrize("step", STEPS)
def test_what_only_shows_tracks_or_serves_is_part_of_no_step(step):
    foreign = re.compile(
        r"pipeline/(tracking|plots|monitoring|reports|commands|scaffold|tuning)/|serving/(client|rest|grpc_api)/"
    )
    closure = import_closure.import_closure([entry(step)])
    assert [] == sorted(path for path in closure if foreign.match(str(path.relative_to(ROOT))))


def imported(names):
    """Files of the project that each step or recipe imports, in one process that forgets them in between."""
    command = [sys.executable, "-c", IMPORTED, json.dumps(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


IMPORTED = """
import importlib, json, sys
from pathlib import Path

def own():
    return [name for name in sys.modules if name.partition(".")[0] in ("pipeline", "serving")]

files = {}
for name in json.loads(sys.argv[1]):
    for module in own():
        del sys.modules[module]
    if name.endswith(".py"):
        importlib.import_module("pipeline.recipes.catalog").load_recipe(Path(name))
    else:
        importlib.import_module(f"pipeline.steps.{name}")
    files[name] = [sys.modules[module].__file__ for module in own()]
print(json.dumps(files))
"""


@pytest.mark.process
def test_what_steps_and_recipes_import_is_in_their_closures():
    recipes = {str(source.path): fingerprint._analyze_recipe(source, ROOT) for source in SOURCES.values()}
    starts = {step: [entry(step)] for step in STEPS}
    # A recipe is never alone: every step that asks for it comes by the catalogue.
    starts |= {
        path: [*import_closure.reachable_files(code), ROOT / "pipeline/recipes/catalog.py"]
        for path, code in recipes.items()
    }
    for name, files in imported([*starts]).items():
        assert (name, set()) == (name, set(files) - set(map(str, import_closure.import_closure(starts[name]))))


def test_the_digests_of_all_steps_read_each_file_once(monkeypatch):
    for remembered in (import_closure._read_once, fingerprint._recipe_parts):
        remembered.cache_clear()
    source, read, reads = SOURCES["digits"], Path.read_text, Counter()

    def count(path, *args, **options):
        reads[path] += 1
        return read(path, *args, **options)

    monkeypatch.setattr(Path, "read_text", count)
    for step in STEPS:
        fingerprint.code_digest(source, step)
    assert {1} == set(reads.values()), reads.most_common(3)
