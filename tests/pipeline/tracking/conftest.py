"""A run's journal as the pipeline would write it, and the MLflows that it is recorded in."""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from pipeline import subprocesses
from pipeline.store import champions
from pipeline.store.champions import ModelVersion
from pipeline.store.layout import Workspace

subprocesses.use_quiet_mlflow()

# What MLflow's own code warns of, and we can do nothing about.
FOREIGN_WARNINGS = ("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning",)


def pytest_configure(config):
    for line in FOREIGN_WARNINGS:
        config.addinivalue_line("filterwarnings", line)


class Run:
    """Writes the journal of one run."""

    def __init__(self, workspace: Path, run_id: str = "run-1") -> None:
        self.folder = Workspace(workspace).run(run_id)
        self.folder.root.mkdir(parents=True, exist_ok=True)
        self.time = 1_700_000_000.0

    def write(self, event: str, **fields) -> None:
        self.time += 1
        if event == "publish":  # as the pipeline does, in this order
            one = ModelVersion(fields["version"], fields["digest"], self.folder.run_id)
            champions.set_alias(self.folder.workspace, "digits", fields["alias"], one)
        line = json.dumps({"time": self.time, "event": event, **fields}) + "\n"
        with self.folder.journal.open("a") as file:
            file.write(line)

    def file(self, name: str, content) -> str:
        path = self.folder.root / name
        path.write_text(json.dumps(content))
        return self.folder.workspace.relative(path)

    def start(self, recipe: str = "digits") -> None:
        params = {"learning_rate": 0.001, "layers": [16, 32]}
        tags = {"code_digest": "c0de", "data_digest": "da7a"}
        fields = {"run_id": self.folder.run_id, "recipe": recipe, "description": "A small network."}
        self.write("start", **fields, params=params, tags=tags)

    def epochs(self, first: int, last: int) -> None:
        for epoch in range(first, last + 1):
            metrics = {"loss": 2 / epoch, "val_loss": 2.1 / epoch, "learning_rate": 0.001}
            self.write("epoch", epoch=epoch, seconds=0.5, samples_per_second=3000.0, metrics=metrics)

    def register(self, model: Path, digest: str = "d1") -> None:
        relative = self.folder.workspace.relative(model)
        self.write("register", model=relative, digest=digest, signatures=SIGNATURES)

    def whole(self, model: Path | None = None) -> None:
        """All that a run has to say."""
        self.start()
        for order, name in enumerate(("ingest", "transform")):
            self.write("step", name=name, state="started", order=order, seconds=None)
            self.write("step", name=name, state="done", order=order, seconds=1.5)
        self.write("training", epochs=3, steps_per_epoch=10, first_epoch=1)
        self.write("progress", epoch=1, step=1, metrics={"loss": 2.0})
        self.write("environment", path=self.file("environment.json", ENVIRONMENT))
        self.write("curve", epoch=1, step=4, metrics={"loss": 2.0, "gradient_norm": 0.5})
        self.epochs(1, 3)
        self.write("history", path=self.file("history.json", {"history": HISTORY}), diagnosis="underfitting")
        self.write("file", path=self.file("schema.json", {"x": 1}), folder="data")
        self.write("evaluation", path=self.file("evaluation.json", evaluation()))
        if model is not None:
            self.register(model)
            self.write("publish", version=4, digest="d1", alias="champion")
        card = {form: self.file(f"card.{form}", f"{form}: version 4") for form in ("md", "html")}
        self.write("card", markdown=card["md"], html=card["html"])
        self.write("end", status="finished", message="", seconds=12.5)


HISTORY = {
    "loss": [2.0, 1.0, 0.7],
    "val_loss": [2.1, 1.05, 1.2],
    "accuracy": [0.3, 0.6, 0.7],
    "val_accuracy": [0.3, 0.5, 0.6],
    "learning_rate": [0.001, 0.001, 0.0005],
}
ENVIRONMENT = {
    "python": "3.11.9",
    "tensorflow": {"version": "2.21.0"},
    "lock": "10c4",
    "cpu": {"cores": 2},
    "gpu": [],
    "git": {"commit": "c0ffee", "dirty": True},
    "packages": {"keras": "3.15.0", "numpy": "2.0.0"},
}
SIGNATURES = {
    "serving_default": {
        "inputs": {"x": {"dtype": "float32", "shape": [None]}},
        "outputs": {"score": {"dtype": "float32", "shape": [None]}},
    }
}


def png(mode: str = "L") -> str:
    """An image as an evaluation carries it."""
    buffer = io.BytesIO()
    Image.new(mode, (8, 8), 128 if mode == "L" else (200, 30, 30)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def sample(label: str, predicted: str, mode: str = "L") -> dict:
    return {"image_bytes": png(mode), "label": label, "predicted": predicted, "probability": 0.8}


def evaluation() -> dict:
    return {
        "classes": ["cat", "dog"],
        "metrics": {"accuracy": 0.9, "loss": 0.3},
        "baseline": {"accuracy": 0.8, "loss": 0.4},
        "slices": [{"slice": f"label={name}", "examples": 5, "metrics": {"accuracy": 0.9}} for name in ("a", "b")],
        "confusion": [[9, 1], [2, 8]],
        "samples": [sample("cat", "cat"), sample("cat", "dog", "RGB")],
        "gate": {"blessed": True, "reasons": ["accuracy 0.9 >= 0.8"]},
    }


class Server:
    """A real MLflow server, which can go away and come back."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        shutil.copy(database, folder / "mlflow.db")
        self.process: subprocess.Popen | None = None

    def up(self) -> None:
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        store += ["--artifacts-destination", str(self.folder / "artifacts")]
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            *store,
            "--port",
            str(self.port),
            "--workers",
            "1",
        ]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.folder,
            env={**subprocesses.mlflow_environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
        until(lambda: answers(self.uri), 60)

    def down(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2):
            return True
    except OSError:
        return False


def until(true, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def uri(workspace) -> str:
    return f"sqlite:///{workspace}/mlflow.db"


@pytest.fixture
def run(workspace) -> Run:
    return Run(workspace)


@pytest.fixture(scope="session")
def another():
    """Makes further runs."""
    return Run


@pytest.fixture
def wait():
    return until


@pytest.fixture
def result():
    return evaluation()


@pytest.fixture
def examples():
    return sample


@pytest.fixture
def environment_facts():
    return ENVIRONMENT


@pytest.fixture
def history():
    return HISTORY


@pytest.fixture
def model(workspace) -> Path:
    """Files in the shape of a SavedModel; most tests do not run it."""
    folder = workspace / "artifacts" / "saved_model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(bytes(range(256)) * 100)
    (folder / "variables" / "variables.index").write_bytes(b"\x00\x01")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, database):
    """One server for a module; a test that takes it down brings it up again."""
    server = Server(tmp_path_factory.mktemp("server"), database)
    server.up()
    yield server
    server.down()
