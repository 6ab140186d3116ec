"""Contract: what holds for every recipe in models/, found by folder."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys

import pytest

from pipeline.commands import show
from pipeline.features import types
from pipeline.recipe import Choice, Gate, Params, Quick, Range, Recipe, Split
from pipeline.recipes import catalog, hyperparameters, recorded_result
from pipeline.runs import run
from pipeline.settings import ROOT, Settings

FILES = sorted(path for path in (ROOT / "models").rglob("*.py") if not path.name.startswith("_"))
SOURCES = {path.stem: catalog.read_recipe(path) for path in FILES}
NAMES = {"Range": Range, "Choice": Choice}
CATALOGUE = {
    "adult", "assistant", "bandit", "blood_cells", "cartpole", "cifar10_resnet", "cifar_simclr", "connected_digits",
    "digits", "fashion", "heartbeat_autoencoder", "imdb_lstm", "imdb_transformer", "mnist", "mnist_federated",
    "mnist_gan", "mnist_mlp", "mnist_vae", "movies_ranking", "movies_retrieval", "nuclei", "papers", "pollution",
    "shakespeare", "spoken_digits", "support_intents", "taxi", "transfer", "translate", "upscale", "vit", "xor",
}  # fmt: skip


@pytest.fixture(scope="module", params=SOURCES.values(), ids=SOURCES)
def source(request):
    return request.param


@pytest.fixture(scope="module")
def imported(source) -> Recipe:
    return catalog.load_recipe(source.path)


def test_no_model_file_escapes_the_contract():
    assert CATALOGUE == set(SOURCES)
    assert FILES == list(catalog.recipe_paths(Settings()).values())


def test_text_and_object_tell_the_same_hyperparameters(source, imported):
    declared = {name: field.default for name, field in hyperparameters.fields(source).items()}
    assert dataclasses.asdict(imported.params) == declared
    assert {f.name: f.type for f in dataclasses.fields(imported.params)}.keys() == declared.keys()


def test_text_and_object_tell_the_same_gate(source, imported):
    gate = show.read_gate(source)
    assert imported.gate == Gate(**gate)
    assert gate, "a recipe without a gate publishes everything"


def test_text_and_object_tell_the_same_keywords(source, imported):
    given = {f.name for f in dataclasses.fields(Recipe)} & set(source.keywords)
    assert set(source.keywords) == given
    assert {"data", "params", "preprocess", "build", "split"} <= given
    assert imported.preprocess.__name__ == ast.unparse(source.keywords["preprocess"])
    assert imported.build.__name__ == ast.unparse(source.keywords["build"])


def test_text_and_object_tell_the_same_quick_run(source, imported):
    assert imported.quick.epochs == run.quick_epochs(source)
    assert isinstance(imported.quick, Quick)


def test_docstring_says_what_one_needs_to_know(source):
    for field in ("Paper", "Data", "Task", "Reaches"):
        assert source.heading.field(field), field
    assert f"keraspipe run {source.name}" == source.heading.field("Command")
    assert 10 <= len(source.heading.title) <= 110


def record(source):
    found = recorded_result.read_result(source.heading)
    assert found, f"no real run yet: python -m benchmarks.catalogue {source.name}"
    return found


def test_its_recorded_result_passes_its_gate(source):
    found = record(source)
    gate = Gate(**show.read_gate(source))
    assert found.value >= gate.at_least.get(found.metric, float("-inf"))
    assert found.value <= gate.at_most.get(found.metric, float("inf"))
    assert found.minutes > 0


def test_record_is_of_the_code_as_it_is(source):
    found = record(source)
    words = f"{source.path} was changed after its last real run: python -m benchmarks.catalogue {source.name}"
    assert recorded_result.recorded_digest(source) == found.digest, words


def test_file_is_short_enough_to_be_read(source):
    assert 60 <= len(source.text.splitlines()) <= 250


def test_hyperparameters_of_every_training_are_there(imported):
    assert set(Params.__annotations__) <= {f.name for f in dataclasses.fields(imported.params)}
    assert dataclasses.fields(imported.params)
    with pytest.raises(dataclasses.FrozenInstanceError):
        imported.params.epochs = 1


def test_defaults_lie_within_their_ranges(source):
    for field in hyperparameters.fields(source).values():
        if not field.range:
            continue
        allowed = eval(field.range, dict(NAMES))
        if isinstance(allowed, Range):
            assert allowed.low <= field.default <= allowed.high, field
            assert allowed.low > 0 or not allowed.log, field
        else:
            assert field.default in allowed.values, field


def test_defaults_survive_the_command_line(source):
    for field in hyperparameters.fields(source).values():
        assert field.default == hyperparameters.parse_value(field, hyperparameters._format_value(field.default)), field


def test_bounds_are_on_metrics_that_are_measured(imported):
    gate, measured = imported.gate, {metric.name for metric in imported.metrics}
    bounded = {*gate.at_least, *gate.at_most, *gate.no_worse, *gate.quick}
    bounded |= {name for bounds in gate.slices.values() for name in bounds}
    assert bounded <= measured


def test_data_are_declared(imported):
    assert isinstance(imported.split, Split)
    assert imported.data.label not in imported.data.inputs
    assert all(types.parse_kind(declared) for declared in imported.data.inputs.values())
    assert len(set(imported.data.classes)) == len(imported.data.classes)


IDLE = """
import os, sys
os.environ["CUDA_VISIBLE_DEVICES"] = ""
from pathlib import Path
from pipeline.recipes import catalog
for path in sys.argv[1:]:
    catalog.load_recipe(Path(path))
from tensorflow.python.eager import context
assert not context.context()._initialized, "devices were initialised"
print("idle")
"""


def test_importing_recipes_does_no_work():
    command = [sys.executable, "-c", IDLE, *map(str, FILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "idle\n" == done.stdout, done.stderr
