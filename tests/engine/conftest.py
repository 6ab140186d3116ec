"""The stack of docker-compose.yml on a real engine: a copy of the project, under a name and on ports of its own.

Run by `make engine`, in the order below. All tests share one stack; who changes it puts it back.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# The place in this text is the place in the run.
ORDER = "start closed run readme host load failure monitoring embedded gpu public multi backup migration down"
STANDINS = bool(os.environ.get("KERASPIPE_STANDINS"))
KERASPIPE = Path(sys.executable).with_name("keraspipe")
PROJECT = "keraspipe-engine"
PORTS = ("MLFLOW_PORT", "REST_PORT", "GRPC_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT", "PUBLIC_PORT")
PATIENCE_S = 300
PAUSE_S = 0.05  # between two requests of a client: the machine also trains
STACK = pytest.StashKey["Stack"]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    own = [item for item in items if item.path.parent == HERE]
    for item in own:
        item.add_marker("engine")
    own.sort(key=lambda item: ORDER.index(item.path.stem.removeprefix("test_")))
    items[:] = [item for item in items if item not in own] + own


def pytest_report_header():
    if STANDINS:
        return (
            "images: STAND-INS from Debian's packages for Python, PostgreSQL, HAProxy, Prometheus; Grafana answers its "
            "health check only; tensorflow/serving is the embedded server; the GPU trainer has no CUDA"
        )
    return "images: from their registries"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A scenario that fails shows what its containers said."""
    report = yield
    if report.failed and (stack := item.config.stash.get(STACK, None)):
        said = stack.compose("ps", "--all", check=False) + stack.compose("logs", "--tail", "40", check=False)
        report.sections.append(("containers", said))
    return report


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_:
        taken = [open_.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in taken]


def awaited(answer, what: str, patience_s: float = PATIENCE_S):
    """What `answer()` returns as soon as that is true; an OSError or a failed command counts as not yet."""
    end, last = time.monotonic() + patience_s, None
    while time.monotonic() < end:
        try:
            if last := answer():
                return last
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            last = error
        time.sleep(0.2)
    return pytest.fail(f"Waited {patience_s} s in vain for: {what}. At last: {last!r}")


@dataclass(frozen=True)
class Stack:
    """The project's copy, and docker compose in it."""

    folder: Path
    ports: dict[str, int]

    def url(self, port: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    @property
    def rest(self) -> str:
        return self.url("REST_PORT")

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.ports['GRPC_PORT']}"

    def get(self, port: str, path: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url(port, path), data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def run(self, *command, check: bool = True, timeout: float = 600) -> str:
        """The command's output; CalledProcessError with both outputs in its text if it fails and `check`."""
        words = [str(word) for word in command]
        here = {"cwd": self.folder, "stdin": subprocess.DEVNULL}
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False, **here)
        if check and done.returncode:
            said = f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
            raise Failed(done.returncode, command, said)
        return done.stdout

    def compose(self, *arguments, **options) -> str:
        return self.run("docker", "compose", *arguments, **options)

    def pipeline(self, *arguments) -> dict:
        """What `keraspipe run … --json` prints in the pipeline's container."""
        return json.loads(self.compose("run", "--rm", "pipeline", "run", *arguments, "--json"))

    def containers(self, *services: str) -> list[dict]:
        """`docker inspect` of the services' containers, of all without names."""
        ids = self.compose("--profile", "*", "ps", "--all", "--quiet", *services).split()
        return json.loads(self.run("docker", "inspect", *ids)) if ids else []

    def inside(self, service: str, script: str, *, index: int = 1, check: bool = True) -> str:
        return self.compose("exec", "-T", "--index", index, service, "bash", "-c", script, check=check)

    def sql(self, query: str, database: str = "mlflow") -> str:
        command = (
            "psql",
            "--username=keraspipe",
            f"--dbname={database}",
            "--tuples-only",
            "--no-align",
            f"--command={query}",
        )
        return self.compose("exec", "-T", "postgres", *command).strip()

    def kill(self, container: dict) -> None:
        """Ends the container's process as a crash would. `docker kill` counts as a wish, after which none restarts."""
        script = f"import os; os.kill({container['State']['Pid']}, 9)"
        self.run("docker", "run", "--rm", "--pid=host", "--user=0", "keraspipe/mlflow:engine", "python", "-c", script)


class Failed(subprocess.CalledProcessError):
    """A command that failed, with what it said."""

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.output}"


@dataclass
class Load:
    """Constant load: two clients over gRPC, two over REST. What they got, until the block ends."""

    stack: Stack
    image: bytes
    versions: list[int] = field(default_factory=list)
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        asks = [self.over_grpc, self.over_grpc, self.over_rest, self.over_rest]
        self.clients = [threading.Thread(target=self.keep_asking, args=(ask,)) for ask in asks]
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_error):
        self.stopped.set()
        for client in self.clients:
            client.join(timeout=60)

    def keep_asking(self, ask) -> None:
        with contextlib.closing(ask()) as answers:
            while not self.stopped.wait(PAUSE_S):
                try:
                    next(answers)
                except Exception as error:  # noqa: BLE001  (whatever it is, it is a failed request)
                    self.failures.append(repr(error))
                    return
                self.answers += 1

    def over_grpc(self):
        with plain_client(self.stack.grpc) as predict:
            while True:
                self.versions.append(predict("digits", self.image).model_spec.version.value)
                yield

    def over_rest(self):
        body = {"instances": [{"image_bytes": {"b64": base64.b64encode(self.image).decode()}}]}
        while True:
            assert self.stack.get("REST_PORT", "/v1/models/digits:predict", body)["predictions"]
            yield


@contextlib.contextmanager
def plain_client(address: str):
    """tensorflow-serving-api's stub as its documentation uses it: (model, image) -> PredictResponse."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def predict(model: str, image: bytes):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model
            request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image]))
            return stub.Predict(request, timeout=30)

        yield predict


def copied(folder: Path) -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def configured(folder: Path, ports: dict[str, int]) -> None:
    text = (folder / ".env.example").read_text()
    for name, value in {**ports, "TAG": "engine", "PUBLIC_ADDRESS": "127.0.0.1", "PUBLIC_HOST": "gateway.test"}.items():
        text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
    (folder / ".env").write_text(f"{text}\nCOMPOSE_PROJECT_NAME={PROJECT}\n")


def setting(folder: Path, name: str) -> str:
    return re.search(rf"^{name}=(.*)$", (folder / ".env").read_text(), re.MULTILINE)[1]


@pytest.fixture(scope="session")
def configuration(pytestconfig, tmp_path_factory):
    """The project's copy with .env and secrets; nothing is built yet."""
    folder = tmp_path_factory.mktemp("project")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    copied(folder)
    configured(folder, ports)
    stack = pytestconfig.stash[STACK] = Stack(folder, ports)
    stack.run(KERASPIPE, "secrets", "--self-signed", "--dir", folder / "secrets", "--env", folder / ".env")
    down = ("--profile", "*", "down", "--volumes", "--remove-orphans")
    stack.compose(*down)  # what a killed run has left
    yield stack
    stack.compose(*down, check=False)


@pytest.fixture(scope="session")
def built(configuration):
    """The images of the project; with stand-ins, those that are made from them."""
    configuration.compose("--profile", "pipeline", "--profile", "embedded", "build", timeout=1200)
    if STANDINS:
        serving = ("--build-arg", "SERVING=keraspipe/serving:engine", ROOT / "tests/engine/standins/serving")
        configuration.run("docker", "build", "--tag", setting(configuration.folder, "SERVING_IMAGE"), *serving)
        configuration.run("docker", "tag", "keraspipe/pipeline:engine", "keraspipe/trainer:engine")
    return configuration


@pytest.fixture(scope="session")
def stack(built):
    """The stack, up and healthy."""
    built.compose("up", "--detach", "--wait", "postgres", "mlflow", "serving", "balancer")
    return built


@pytest.fixture(scope="session")
def published(stack):
    """What the first run of `digits` in the container said; its version 1 answers."""
    result = stack.pipeline("digits")
    awaited(lambda: stack.get("REST_PORT", "/v1/models/digits")["model_version_status"], "version 1 to be served")
    return result


@pytest.fixture
def load(stack, digit_image):
    """Starts clients that ask all the time."""
    return lambda: Load(stack, digit_image.read_bytes())


@pytest.fixture(scope="session")
def wait_for():
    """Polls until something is true, or fails."""
    return awaited


@pytest.fixture(scope="session")
def client():
    """Makes a plain tensorflow-serving-api client of an address."""
    return plain_client
