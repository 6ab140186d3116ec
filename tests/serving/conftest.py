"""Fixture models, made once per test process, and real server processes on real sockets."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pathlib import Path

# The first example may import TensorFlow, and the machine may be busy: no deadline per example.
settings.register_profile("serving", deadline=None, max_examples=60)
settings.load_profile("serving")

_SERVE = """
import dataclasses, json, sys
from pathlib import Path
from serving import options
from serving.options import ServeOptions
from serving.server import serve
arguments = json.loads(sys.argv[1])
for name in ("base_path", "model_config_file"):
    if arguments.get(name):
        arguments[name] = Path(arguments[name])
for name in ("loading", "batching", "limits", "security"):
    if isinstance(arguments.get(name), dict):
        arguments[name] = getattr(options, name.capitalize())(**arguments[name])
show = lambda endpoints: print(json.dumps(dataclasses.asdict(endpoints)), flush=True)
sys.exit(serve(ServeOptions(**arguments), ready=show))
"""


@dataclass
class Server:
    """A server process."""

    process: subprocess.Popen
    endpoints: dict
    base: Path

    @property
    def rest(self) -> str:
        return self.endpoints["rest"]

    @property
    def grpc(self) -> str:
        return self.endpoints["grpc"]

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)


@contextlib.contextmanager
def _running(base: Path, **options):
    arguments = {
        "base_path": str(base),
        "rest_port": 0,
        "grpc_port": 0,
        "loading": {"poll_seconds": 0.2, "retry_seconds": 0.1, "max_retries": 1},
        **options,
    }
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed below; not a pipe: nobody would empty it, and a full one blocks the server
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        line = process.stdout.readline()
        if not line:
            log.seek(0)
            pytest.fail(f"The server did not start:\n{log.read()[-3000:]}")
        yield Server(process, json.loads(line), base)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        log.close()


@pytest.fixture(scope="session")
def run_server():
    """A context manager that runs a server over a folder."""
    return _running


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
    """About a second of work, in the graph itself."""

    def run(x):
        size = 1200
        square = tf.fill([size, size], tf.reduce_sum(x) / size)
        result = tf.while_loop(
            lambda i, _: i < 40, lambda i, m: (i + 1, tf.tanh(m @ m)), (0, square), parallel_iterations=1
        )
        return {"y": x + 0.0 * result[1][0, 0]}

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


@pytest.fixture(scope="session")
def served(saved, tmp_path_factory):
    """A folder to serve: `half` and `echo`."""
    base = tmp_path_factory.mktemp("served")
    shutil.copytree(saved / "linear_1", base / "half" / "1")
    shutil.copytree(saved / "linear_2", base / "half" / "2")
    shutil.copytree(saved / "echo", base / "echo" / "7")
    return base


@pytest.fixture(scope="session")
def server(served):
    """A server of `half` (version 2) and `echo` (version 7), shared by all tests that change nothing."""
    with _running(served) as running:
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
