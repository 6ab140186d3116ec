"""What the end-to-end tests share: the command line as a user calls it, and one trained workspace."""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.store.fileio import lock

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
FORKED = ROOT / "tests" / "forked.py"
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONDONTWRITEBYTECODE")
LONG = ("e2e", "models", "readme")  # folders whose tests take many seconds


_SERVE = """
import dataclasses, json, sys
from pathlib import Path
from serving import options
from serving.options import ServeOptions
from serving.process.server import serve
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


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what a fixture makes once for their file run in one process, or each process would make it."""
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs.values()
        shares = any(fixture.scope == "module" for found in fixtures for fixture in found)
        if shares and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[bool, bool, bool]:
    """What takes long comes first, or one process would end minutes after the others; the longest group is `digits`.

    In that group the README comes last: its commands publish another version.
    """
    group, folder = item.get_closest_marker("xdist_group"), item.path.relative_to(ROOT / "tests").parts[0]
    return not (group and group.args == ("digits",)), folder not in LONG, folder == "readme"


@pytest.fixture(scope="session")
def run_server():
    """A context manager that runs a server over a folder."""
    return _running


@dataclass(frozen=True)
class Answer:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out)


def hear_interrupts() -> None:
    """A suite started in the background ignores Ctrl-C, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@functools.cache
def _forking() -> multiprocessing.context.ForkServerContext:
    """A process that has imported what commands import, and forks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.runner.local", "pipeline.commands.predict"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_USE_LEGACY_KERAS", "0")  # as a run does before it imports TFX
        multiprocessing.forkserver.ensure_running()
    return context


class Forked:
    """A command in a process forked from one that has imported TFX; it has what tests use of `subprocess.Popen`."""

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        (out, told_out), (err, told_err) = _forking().Pipe(duplex=False), _forking().Pipe(duplex=False)
        call = arguments, environment, folder, told_out, told_err
        self._process = _forking().Process(target=runpy.run_path, args=(str(FORKED), {"CALL": call}))
        self._process.start()
        self.stdout, self.stderr = (open(os.dup(pipe.fileno()), encoding="utf-8") for pipe in (out, err))  # noqa: PTH123, SIM115
        for pipe in (out, err, told_out, told_err):
            pipe.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits for the end; what it printed and has not been read yet."""
        with self.stdout, self.stderr, ThreadPoolExecutor(2) as readers:
            printed = [readers.submit(stream.read) for stream in (self.stdout, self.stderr)]
            self._process.join(timeout)
            if self.returncode is None:
                self._process.kill()
                pytest.fail(f"It goes on after {timeout} s:\n{printed[1].result()}")
            return printed[0].result(), printed[1].result()


@dataclass(frozen=True)
class Keraspipe:
    """The command line in an environment of its own; `start` gives a process all of its own, `fork` a ready one."""

    workspace: Path
    environment: dict[str, str]

    def command(self, *arguments: str | Path) -> list[str]:
        return [str(Path(sys.executable).parent / "keraspipe"), *map(str, arguments)]

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.workspace.parent,
            env={**self.environment, **environment},
            preexec_fn=hear_interrupts,  # noqa: PLW1509  (one system call)
        )

    def fork(self, *arguments: str | Path, **environment: str) -> Forked:
        """Starts a command in a process that need not import TFX, which takes nine seconds of a core."""
        return Forked([*map(str, arguments)], {**self.environment, **environment}, self.workspace.parent)

    def __call__(self, *arguments: str | Path, **environment: str) -> Answer:
        """Runs a command to its end, in a process like that of `fork`."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            call = [*map(str, arguments)], {**self.environment, **environment}, self.workspace.parent, out, err
            process = _forking().Process(target=runpy.run_path, args=(str(FORKED), {"CALL": call}))
            process.start()
            process.join(600)
            if process.exitcode is None:
                process.kill()
                pytest.fail(f"{arguments} goes on after ten minutes:\n{err.read_text()}")
            return Answer(process.exitcode, out.read_text(), err.read_text())


def command_line(folder: Path, **environment: str) -> Keraspipe:
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    workspace = folder / "workspace"
    return Keraspipe(workspace, {**kept, "KERASPIPE_WORKSPACE": str(workspace), **environment})


@pytest.fixture
def keraspipe(tmp_path: Path) -> Keraspipe:
    """The command line on an empty workspace."""
    return command_line(tmp_path)


@pytest.fixture(scope="session")
def keraspipe_in() -> Callable[..., Keraspipe]:
    """Makes a command line on an empty workspace in a folder, with environment variables."""
    return command_line


@dataclass(frozen=True)
class Trained:
    """A workspace in which `keraspipe run digits` was run once: what that printed, and what `--json` says of it."""

    keraspipe: Keraspipe
    answer: Answer
    result: Any

    @property
    def workspace(self) -> Path:
        return self.keraspipe.workspace


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The one trained workspace, made by the first test process that asks for it."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "digits"
    command = command_line(folder)
    with lock(folder / "lock"):
        record = folder / "answer.json"
        if not record.exists():
            process = command.start("run", "digits")
            out, err = process.communicate(timeout=600)
            assert 0 == process.returncode, err
            repeated = command("run", "digits", "--json")
            record.write_text(json.dumps([[process.returncode, out, err], repeated.json]))
    answer, result = json.loads(record.read_text())
    return Trained(command, Answer(*answer), result)


@pytest.fixture(scope="session")
def digit_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan of a zero as PNG."""
    from pipeline.datasets.digits import Digits

    path = tmp_path_factory.mktemp("images") / "zero.png"
    path.write_bytes(next(Digits().examples(Path())).features["image_bytes"])
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of public data sets, where the machine has one."""
    found = Path(os.environ.get("KERASPIPE_DATA", ROOT.parent / "shared" / "data"))
    if not (found / "mnist").is_dir():
        pytest.skip(f"no data sets in {found}; set KERASPIPE_DATA to a folder with mnist/ and fashion-mnist/")
    return found
