"""What the end-to-end tests share: the command line as a user calls it, and one trained workspace."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import json
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.popen_forkserver
import os
import platform
import runpy
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import HealthCheck, Phase, settings

from pipeline.store import hashing
from pipeline.store.fileio import lock

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
FORKED = ROOT / "tests" / "forked.py"
SERVE_FORKED = ROOT / "tests" / "serve_forked.py"
SERVING_FORKED = ROOT / "tests" / "serving_forked.py"
# A busy machine is no failure.
# Not the phase that explains: it traces, and CPython 3.11 may then loop for ever at the beginning of a function, where
# another thread had asked for the interpreter a moment before.
PHASES = [phase for phase in Phase if phase is not Phase.explain]
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)
# For the inner loop: make test tries more.
settings.register_profile("brief", settings.get_profile("patient"), max_examples=20)
settings.load_profile("patient")
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONDONTWRITEBYTECODE")
GROWN = 2**31  # bytes of a test process that has memory to give back
PASSED = os.environ.get("KERASPIPE_TEST_CACHE", "~/.cache/keraspipe-tests")  # empty: nothing is kept


class ServerFork(multiprocessing.popen_forkserver.Popen):
    """A fork of a process that has imported TensorFlow, which takes three seconds of a core, and not TFX as well."""

    def _launch(self, process_obj: multiprocessing.process.BaseProcess) -> None:
        with pytest.MonkeyPatch.context() as patch:
            connect = _server_forks().connect_to_new_process
            patch.setattr(multiprocessing.forkserver, "connect_to_new_process", connect)
            super()._launch(process_obj)


@functools.cache
def _server_forks() -> multiprocessing.forkserver.ForkServer:
    forks = multiprocessing.forkserver.ForkServer()
    forks.set_forkserver_preload(["tensorflow", "serving.grpc_api.server", "serving.process.server"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"))  # as a server does
        forks.ensure_running()
    return forks


class ServerProcess(multiprocessing.context.ForkServerProcess):
    """A server's process; asked as a `subprocess.Popen` is."""

    @staticmethod
    def _Popen(process_obj: multiprocessing.process.BaseProcess) -> ServerFork:  # noqa: N802 - multiprocessing's name
        return ServerFork(process_obj)

    def poll(self) -> int | None:
        return self.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: It goes on.
        """
        self.join(timeout)
        if self.exitcode is None:
            raise subprocess.TimeoutExpired(self.name, timeout)
        return self.exitcode


@dataclass
class Server:
    """A server process."""

    process: ServerProcess
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
def _serving(*flags: str, errors: Path | None = None):
    """Process and output of `python -m serving` with these flags; its errors lie in a file or among the output."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    call = flags, dict(os.environ), writer, errors and str(errors)
    process = ServerProcess(target=runpy.run_path, args=(str(SERVING_FORKED), {"CALL": call}))
    process.start()
    writer.close()
    with os.fdopen(os.dup(reader.fileno())) as output:
        reader.close()
        try:
            yield process, output
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _endpoints(reader: multiprocessing.connection.Connection, log: IO[str]) -> dict:
    try:
        return reader.recv()
    except EOFError:
        pytest.fail(f"The server did not start:\n{log.read()[-3000:]}")


@contextlib.contextmanager
def _running(base: Path, **options):
    arguments = {
        "base_path": str(base),
        "rest_port": 0,
        "grpc_port": 0,
        "loading": {"poll_seconds": 0.2, "retry_seconds": 0.1, "max_retries": 1},
        "security": {"control_open": True},
        **options,
    }
    with tempfile.NamedTemporaryFile("r", errors="replace") as log:
        reader, writer = multiprocessing.Pipe(duplex=False)
        call = arguments, log.name, writer
        process = ServerProcess(target=runpy.run_path, args=(str(SERVE_FORKED), {"CALL": call}))
        process.start()
        writer.close()  # the end that is left is the server's: if it dies there is an end to what can be read
        try:
            yield Server(process, _endpoints(reader, log), base)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.close()


# Fixtures that start processes; a test that starts one itself is marked `process` where it stands.
STARTERS = {"run_server", "run_serving", "keraspipe", "keraspipe_in", "digits"}
LONG = {"e2e", "models", "readme"}  # folders of tests that run whole pipelines
STARTED = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "tests.start"}


class Starts:
    """The processes that a test starts: `make test-fast` leaves out those who do, by their mark."""

    def __init__(self) -> None:
        self.since_setup: list[str] = []
        platform.processor()  # kept from here on; a library that asks for it first would start `uname -p`
        sys.addaudithook(self._hear)
        start = multiprocessing.process.BaseProcess.start

        def audited(process: multiprocessing.process.BaseProcess) -> None:
            sys.audit("tests.start", process.name)  # to a fork server it is a message only, and no event
            start(process)

        multiprocessing.process.BaseProcess.start = audited

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in STARTED and arguments[:1] != ("lscpu",):  # scikit-learn's, once: how many cores there are
            self.since_setup.append(f"{event} {arguments[:2]}"[:300])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self.since_setup.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Any:
        result = yield
        if self.since_setup and not item.get_closest_marker("process"):
            pytest.fail(
                "The test starts a process and is not marked so.\nExpected: pytest.mark.process\n"
                f"Received: {self.since_setup}\nNext: mark it, or do without the process",
                pytrace=False,
            )
        return result


def passed_file(item: pytest.Item) -> Path | None:
    """What says that a test marked `long` passed under a digest.

    The mark may bring a function that gives this file for a test. Without one, all sources of the project count.
    """
    mark = item.get_closest_marker("long")
    if not PASSED or not mark:
        return None
    find: Callable[[pytest.Item], Path] = mark.kwargs.get("file", _passed_with_these_sources)
    return find(item)


def _passed_with_these_sources(item: pytest.Item) -> Path:
    tests = [item.path, *item.path.parent.glob("conftest.py"), *(ROOT / "tests").glob("*.py")]
    digest = hashing.digest([_digest_sources(), *(file.read_text() for file in sorted(tests))])
    return Path(PASSED).expanduser() / "passed" / f"{item.name}-{digest[:16]}"


@functools.cache
def _digest_sources() -> str:
    """Digest of all that is no test: sources, README, locked packages."""
    packages = [file for name in ("pipeline", "serving", "models") for file in (ROOT / name).rglob("*")]
    files = [file for file in packages if file.is_file() and file.suffix != ".pyc"]
    files += [ROOT / name for name in ("README.md", "pyproject.toml", "uv.lock", "Makefile")]
    return hashing.digest(
        [(str(file.relative_to(ROOT)), hashlib.sha256(file.read_bytes()).hexdigest()) for file in sorted(files)]
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what passed before and would only take long again; before any fixture is made."""
    passed = passed_file(item)
    if passed and passed.exists():
        pytest.skip("passed before, and nothing that it depends on has changed since; make test-all repeats it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if call.when == "call" and report.passed and (passed := passed_file(item)):
        passed.parent.mkdir(parents=True, exist_ok=True)
        passed.touch()
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Any:
    """Gives memory back after tests that belong together: the recipes of the contract leave some GB in a process."""
    result = yield
    over = nextitem is None or _group(item) != _group(nextitem)
    if over and "keras" in sys.modules and psutil.Process().memory_info().rss > GROWN:
        import keras

        keras.backend.clear_session()  # graphs of Keras that nothing else refers to
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc, which keeps what was freed
        if trim:
            trim(0)
    return result


def _group(item: pytest.Item) -> object:
    mark = item.get_closest_marker("xdist_group")
    return mark.args if mark else item.path


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Starts())


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that are no text are named by their argument: gzip's hold the time, and workers have to agree."""
    return argname if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()) else None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what a fixture makes once for their file run in one process, or each process would make it."""
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if STARTERS & set(item.fixturenames) or folder in {*LONG, "engine"}:
            item.add_marker("process")
        if folder in LONG:
            item.add_marker("heavy")
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


@pytest.fixture(scope="session")
def run_serving():
    """A context manager that runs `python -m serving` with flags."""
    return _serving


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
    context.set_forkserver_preload(["preloaded"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "tests"))
        patch.setenv("TF_USE_LEGACY_KERAS", "0")  # as a run does before it imports TFX
        patch.setenv("JE_ARROW_MALLOC_CONF", "background_thread:false")  # a process with threads does not fork safely
        multiprocessing.forkserver.ensure_running()
    return context


def stop_stuck(process: multiprocessing.process.BaseProcess) -> None:
    """Kills a command of `FORKED`, once it has written to its errors where each of its threads is."""
    assert process.pid
    os.kill(process.pid, signal.SIGUSR1)
    process.join(2)
    process.kill()


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
                stop_stuck(self._process)
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
                stop_stuck(process)
                pytest.fail(f"{arguments} goes on after ten minutes:\n{err.read_text()}")
            return Answer(process.exitcode, out.read_text(), err.read_text())


def command_line(folder: Path, **environment: str) -> Keraspipe:
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
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
def shared_temp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes of this run of the tests share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder


@pytest.fixture(scope="session")
def digits(shared_temp: Path) -> Trained:
    """The one trained workspace, made by the first test process that asks for it."""
    folder = shared_temp / "digits"
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


@pytest.fixture(scope="session")
def languages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two versions of a language model: `quick`, and `slow` with 20 ms a step; context 512, 4 slots."""
    base = tmp_path_factory.mktemp("languages")
    save = runpy.run_path(str(ROOT / "tests" / "language_model.py"))["save_language_model"]
    save(base / "quick")
    save(base / "slow", pause=5000)
    return base
