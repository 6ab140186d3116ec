"""Fixture models, made once per test process, and real server processes on real sockets."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile("serving", settings.get_profile("patient"), max_examples=60)
settings.load_profile("serving")


def _save(tf, module, signatures, path):
    tf.saved_model.save(module, str(path), signatures=signatures)


def _linear(tf, slope, intercept):
    """y = slope x + intercept, also over tf.Examples."""

    class Linear(tf.Module):
        def __init__(self):
            super().__init__()
            self.slope = tf.Variable(slope, dtype=tf.float32)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def predict(self, x):
            return {"y": x * self.slope + intercept}

        def parse(self, examples):
            parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})
            return parsed["x"] * self.slope + intercept

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def classify(self, inputs):
            scores = self.parse(inputs)
            return {"scores": scores, "classes": tf.strings.as_string(scores, precision=1)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def regress(self, inputs):
            return {"outputs": self.parse(inputs)}

    module = Linear()
    return module, {"serving_default": module.predict, "classify": module.classify, "regress": module.regress}


def _echo(tf):
    """Signatures that give back what they take."""
    module = tf.Module()
    signatures = {}
    for dtype in (tf.float32, tf.float64, tf.int32, tf.int64, tf.uint8, tf.bool, tf.string, tf.half):
        spec = tf.TensorSpec([None], dtype, name="x")
        signatures[dtype.name] = tf.function(lambda x: {"y": tf.identity(x)}, input_signature=[spec])
    pair = [
        tf.TensorSpec([None, 2], tf.float32, name="number"),
        tf.TensorSpec([None], tf.string, name="text"),
    ]
    signatures["pair"] = tf.function(
        lambda number, text: {
            "sum": tf.reduce_sum(number, -1),
            "text": tf.identity(text),
            "raw_bytes": tf.identity(text),
        },
        input_signature=pair,
    )
    matrix = [tf.TensorSpec([None, 2], tf.float32, name="x")]
    signatures["matrix"] = tf.function(lambda x: {"y": x @ tf.ones([2, 1])}, input_signature=matrix)
    signatures["slow"] = tf.function(_slow(tf), input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    module.functions = list(signatures.values())
    signatures["serving_default"] = signatures["float32"]
    return module, signatures


def _slow(tf):
    """About a second of one core, in the graph itself: many small steps, so that whoever gives up is soon done."""

    def run(x):
        result = tf.while_loop(
            lambda i, _: i < 250_000, lambda i, s: (i + 1, tf.tanh(s)), (0, tf.reduce_sum(x)), parallel_iterations=1
        )
        return {"y": x + 0.0 * result[1]}

    return run


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Folder with the fixture models: linear_1 (x/2+2), linear_2 (x/2+3) and echo."""
    import tensorflow as tf

    base = tmp_path_factory.mktemp("saved")
    _save(tf, *_linear(tf, 0.5, 2.0), base / "linear_1")
    _save(tf, *_linear(tf, 0.5, 3.0), base / "linear_2")
    _save(tf, *_echo(tf), base / "echo")
    return base


@pytest.fixture(scope="module")
def models(saved):
    """The models echo and half, loaded in this process."""
    from serving.core.model import LoadedModel
    from serving.core.models import Models
    from serving.core.servable import Servable

    loaded = Models()
    for name, folder in (("echo", "echo"), ("half", "linear_1")):
        servable = Servable(name, 1, saved / folder)
        servable.publish(LoadedModel(saved / folder))
        loaded.add(servable)
    return loaded


@pytest.fixture(scope="module")
def process():
    """The process that reads large requests."""
    from serving.core.reader_process import ReaderProcess

    reader = ReaderProcess()
    yield reader
    reader.close()


@pytest.fixture(scope="session")
def served(saved, tmp_path_factory):
    """A folder to serve: `half` and `echo`."""
    base = tmp_path_factory.mktemp("served")
    shutil.copytree(saved / "linear_1", base / "half" / "1")
    shutil.copytree(saved / "linear_2", base / "half" / "2")
    shutil.copytree(saved / "echo", base / "echo" / "7")
    return base


@pytest.fixture(scope="session")
def server(served, run_server):
    """A server of `half` (version 2) and `echo` (version 7), shared by all tests that change nothing."""
    with run_server(served) as running:
        yield running


@pytest.fixture(scope="session")
def publish():
    """Publish a version as the pipeline does: written beside, then renamed."""

    def put(source: Path, target: Path) -> None:
        beside = target.parent / f".tmp-{target.name}"
        shutil.copytree(source, beside)
        beside.rename(target)

    return put


@pytest.fixture(scope="session")
def wait_for():
    """Wait until a condition holds."""

    def wait(condition, timeout_s=20.0):
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            result = condition()
            if result:
                return result
            time.sleep(0.05)
        pytest.fail("The condition did not come true in time")

    return wait
