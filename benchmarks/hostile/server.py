"""The server that is attacked: small models, and the log that tells who died."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = ("numbers", "texts", "images", "recordings", "examples", "slow")
_MONITORING = 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }'
_DEATH = re.compile(r"exited with code|has died|Check failed")


class Server:
    """A running server.

    Args:
        models: Folder with what `save_models` saved.
        workers: Its processes.
        memory_mb: Its limit; 0 for the default.
    """

    def __init__(self, models: Path, workers: int, memory_mb: int) -> None:
        self.rest, self.grpc = _free_port(), _free_port()
        config = models / "models.config"
        entry = 'config {{ name: "{0}" base_path: "{1}/{0}" model_platform: "tensorflow" }}'
        config.write_text(f"model_config_list {{ {' '.join(entry.format(name, models) for name in MODELS)} }}")
        (models / "monitoring.config").write_text(_MONITORING)
        flags = [
            f"--rest_api_port={self.rest}",
            f"--port={self.grpc}",
            f"--model_config_file={config}",
            f"--workers={workers}",
            f"--monitoring_config_file={models / 'monitoring.config'}",
            "--enable_grpc_healthcheck_service",
        ]
        flags += [f"--max-memory-mb={memory_mb}"] if memory_mb else []
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed by `kill`
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serving", *flags], cwd=ROOT, stdout=-3, stderr=self._log
        )

    def is_ready(self) -> bool:
        """Whether all models answer."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self.rest, timeout=10)
            with contextlib.closing(connection):
                connection.request("GET", "/readyz")
                return connection.getresponse().status == http.HTTPStatus.OK
        return False

    def deaths(self) -> int:
        """How often a process of it died."""
        self._log.seek(0)
        died = len(_DEATH.findall(self._log.read()))
        return max(died, int(self.process.poll() is not None))

    def kill(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()
        self._log.close()


@contextlib.contextmanager
def run_server(models: Path, workers: int = 1, memory_mb: int = 0) -> Iterator[Server]:
    """Runs `python -m serving` until the block ends."""
    running = Server(models, workers, memory_mb)
    try:
        while not running.is_ready():
            time.sleep(0.2)
        yield running
    finally:
        running.kill()


def save_models(folder: Path) -> None:
    """Saves `numbers`, `texts`, `images` (of any size), `recordings`, `examples` and `slow` (about a second)."""
    import tensorflow as tf

    from pipeline.features import audio, image

    numbers, strings = (tf.TensorSpec([None], kind, name="x") for kind in (tf.float32, tf.string))
    _save(folder / "numbers", lambda x: {"y": x / 2}, numbers)
    _save(folder / "texts", lambda x: {"y": tf.strings.length(x)}, strings)
    _save(folder / "images", lambda x: {"y": image.decode(x, (8, 8, 3), resize=True)[:, 0, 0]}, strings)
    _save(folder / "recordings", lambda x: {"y": tf.reduce_sum(audio.decode(x, 100, 8000), 1)}, strings)
    _save(folder / "slow", _spend_time, numbers)
    _save(folder / "examples", _parse_examples, strings, classify=tf.TensorSpec([None], tf.string, name="inputs"))


def _spend_time(x: Any) -> dict[str, Any]:
    import tensorflow as tf

    steps = 100_000
    _, sums = tf.while_loop(lambda i, _: i < steps, lambda i, s: (i + 1, tf.tanh(s)), (0, x), parallel_iterations=1)
    return {"y": sums}


def _parse_examples(serialized: Any) -> dict[str, Any]:
    import tensorflow as tf

    features = {
        "number": tf.io.FixedLenFeature([2], tf.float32),
        "count": tf.io.VarLenFeature(tf.int64),
        "text": tf.io.VarLenFeature(tf.string),
    }
    parsed = tf.io.parse_example(serialized, features)
    counts = tf.cast(tf.sparse.reduce_sum(parsed["count"], 1), tf.float32)
    lengths = tf.reduce_sum(tf.strings.length(tf.sparse.to_dense(parsed["text"])), 1)
    scores = tf.reduce_sum(parsed["number"], 1) + counts + tf.cast(lengths, tf.float32)
    return {"scores": scores[:, None], "classes": tf.strings.as_string(scores)[:, None]}


def _save(folder: Path, graph: Callable[[Any], Any], spec: Any, **others: Any) -> None:
    import tensorflow as tf

    module = tf.Module()
    signatures = {
        name: tf.function(graph, input_signature=[each]) for name, each in {"serving_default": spec, **others}.items()
    }
    module.functions = list(signatures.values())
    tf.saved_model.save(module, str(folder / "1"), signatures=signatures)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return int(holder.getsockname()[1])
