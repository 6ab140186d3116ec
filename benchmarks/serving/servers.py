"""Each server as a context manager that gives where to send requests; ours is started as users start it."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.serving import environment, payloads, process

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    import numpy as np

    from serving.loadtest.target import Target

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Ours:
    """A running server of ours.

    Attributes:
        process: Its process.
        url: REST API.
        grpc: gRPC API.
        models: The folder that it serves.
        ready: Time of the first good answer, on the clock of `time.monotonic`.
    """

    process: subprocess.Popen[str]
    url: str
    grpc: str
    models: Path
    ready: float

    def rest(self, model: str, values: np.ndarray) -> Target:
        """A request to its REST API."""
        return payloads.of_rest(self.url, model, values)

    def rpc(self, model: str, values: np.ndarray) -> Target:
        """A request to its gRPC API."""
        return payloads.of_grpc(self.grpc, model, values)


@contextlib.contextmanager
def ours(models: Path, model: str, values: np.ndarray, workers: int = 1) -> Iterator[Ours]:
    """`python -m serving` on one model of a folder."""
    rest, grpc = process.free_port(), process.free_port()
    command = [sys.executable, "-m", "serving", f"--rest_api_port={rest}", f"--port={grpc}", f"--model_name={model}"]
    command += [f"--model_base_path={models / model}", f"--workers={workers}"]
    url, address = f"http://{HOST}:{rest}", f"{HOST}:{grpc}"
    with process.running(command) as started:
        ready = process.wait(started, payloads.of_rest(url, model, values))
        process.wait(started, payloads.of_grpc(address, model, values))
        yield Ours(started, url, address, models, ready)


@contextlib.contextmanager
def fastapi(models: Path, model: str, values: np.ndarray) -> Iterator[Target]:
    """FastAPI under uvicorn."""
    port = process.free_port()
    target = payloads.of_rest(f"http://{HOST}:{port}", model, values, "/predict")
    with _module("fastapi_server", str(models / model / "1"), str(port)) as started:
        process.wait(started, target)
        yield target


@contextlib.contextmanager
def echo(answer: bytes, model: str, values: np.ndarray) -> Iterator[Target]:
    """Uvicorn alone, which always answers the same bytes."""
    port = process.free_port()
    target = payloads.of_rest(f"http://{HOST}:{port}", model, values, "/echo")
    with tempfile.NamedTemporaryFile() as file:
        file.write(answer)
        file.flush()
        with _module("echo_server", file.name, str(port)) as started:
            process.wait(started, target)
            yield target


@contextlib.contextmanager
def plain_grpc(models: Path, model: str, values: np.ndarray) -> Iterator[Target]:
    """grpc.aio with generated stubs."""
    port = process.free_port()
    target = payloads.of_grpc(f"{HOST}:{port}", model, values)
    with _module("grpc_server", str(models / model / "1"), str(port)) as started:
        process.wait(started, target)
        yield target


@contextlib.contextmanager
def mlserver(models: Path, model: str, values: np.ndarray) -> Iterator[Target]:
    """MLServer in one process, with a runtime of the same callable."""
    programs = environment.mlserver()
    ports = [process.free_port() for _ in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        _write(folder, "settings.json", _settings(ports))
        runtime = "benchmarks.serving.mlserver_runtime.Runtime"
        where = {"uri": str(models / model / "1")}
        _write(folder, "model-settings.json", {"name": model, "implementation": runtime, "parameters": where})
        target = payloads.of_v2(f"http://{HOST}:{ports[0]}", model, values)
        with process.running([str(programs / "mlserver"), "start", folder]) as started:
            process.wait(started, target)
            yield target


def _settings(ports: list[int]) -> dict[str, Any]:
    """One process, and nothing that costs time and can be left out."""
    names = ("http_port", "grpc_port", "metrics_port")
    quiet = {"debug": False, "metrics_endpoint": None, "parallel_workers": 0, "host": HOST}
    return {**dict(zip(names, ports, strict=True)), **quiet}


def _write(folder: str, name: str, content: dict[str, Any]) -> None:
    (Path(folder) / name).write_text(json.dumps(content))


def _module(name: str, *arguments: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    return process.running([sys.executable, "-m", f"benchmarks.serving.{name}", *arguments])
