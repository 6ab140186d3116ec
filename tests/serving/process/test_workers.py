"""A server of several processes: who answers, who comes back, and their messages."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import psutil
import pytest
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

from serving.client.client import Client
from serving.core.work import available_memory
from serving.options import Limits, ServeOptions
from serving.process.supervisor import worker_options

pytestmark = pytest.mark.process

WORKERS = 2
_SERVE = """
import dataclasses, json, sys
from pathlib import Path
from serving.options import Limits, Loading, Security, ServeOptions
from serving.process.supervisor import serve_with_workers
arguments = json.loads(sys.argv[1])
for name in ("base_path", "grpc_socket"):
    if arguments.get(name):
        arguments[name] = Path(arguments[name])
arguments["limits"] = Limits(**arguments.get("limits", {}))
arguments["loading"] = Loading(poll_seconds=0.2, retry_seconds=0.1, max_retries=1)
show = lambda endpoints: print(json.dumps(dataclasses.asdict(endpoints)), flush=True)
tell = lambda text: print(f"Told: {text}", file=sys.stderr, flush=True)
if __name__ == "__main__":
    options = ServeOptions(**arguments, security=Security(control_open=True), notice=tell)
    sys.exit(serve_with_workers(options, ready=show))
"""


@dataclasses.dataclass
class Fleet:
    """A server of workers."""

    process: subprocess.Popen
    rest: str
    grpc: str
    log: Path

    def pids(self):
        """Processes of the workers that live."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if "spawn_main" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child.pid)
        return sorted(found)

    def get(self, path):
        """A page, over a connection of its own."""
        with urllib.request.urlopen(f"{self.rest}{path}", timeout=60) as response:
            return response.read().decode()

    def pid_of(self, connection):
        """Which process has the other end of a connection."""
        mine = connection.sock.getsockname()
        for pid in self.pids():
            for one in psutil.Process(pid).net_connections("tcp4"):
                if one.raddr == mine:
                    return pid
        return None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def fleet(tmp_path_factory, base, **options):
    arguments = {"base_path": str(base), "rest_port": 0, "grpc_port": 0, "workers": WORKERS, **options}
    folder = tmp_path_factory.mktemp("fleet")
    script = folder / "run.py"  # a file: spawned processes import the main module again
    script.write_text(_SERVE)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, script, json.dumps(arguments)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
    try:
        line = process.stdout.readline()
        assert line, (folder / "log").read_text()[-3000:]
        endpoints = json.loads(line)
        yield Fleet(process, endpoints["rest"], endpoints["grpc"], folder / "log")
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
        if process.poll() is None:
            for child in psutil.Process(process.pid).children():
                child.kill()
            process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def running(served, tmp_path_factory):
    """Workers that the tests share; each leaves as many as it found."""
    with fleet(tmp_path_factory, served, drain_seconds=5, grpc_socket=str(tmp_path_factory.mktemp("s") / "s")) as one:
        yield one


@pytest.fixture
def whole(running, wait_for):
    """The workers, all of which answer."""
    wait_for(lambda: len(running.pids()) == WORKERS, 60)
    wait_for(lambda: set(running.pids()) == spread(running), 60)
    return running


def connect(running):
    return http.client.HTTPConnection(running.rest.removeprefix("http://"), timeout=60)


def predict(connection, value=2.0):
    connection.request("POST", "/v1/models/half:predict", json.dumps({"instances": [value]}))
    response = connection.getresponse()
    body = json.loads(response.read())
    assert response.status == 200, body
    return body["predictions"][0]


def spread(running, count=24):
    """Processes that answer so many connections."""
    connections = [connect(running) for _ in range(count)]
    try:
        for connection in connections:
            try:
                predict(connection)
            except OSError:
                continue
        return {running.pid_of(connection) for connection in connections if connection.sock} - {None}
    finally:
        for connection in connections:
            connection.close()


def test_both_ports_answer_from_several_processes(whole):
    with Client(whole.grpc) as client:
        assert [4.0] == client.predict("half", {"x": [2.0]})["y"].tolist()
    assert WORKERS == len(whole.pids())
    assert set(whole.pids()) == spread(whole)


def _total(page, name):
    return sum(
        float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.startswith(f":tensorflow:serving:{name}{{") and 'model_name="half"' in line and '"OK"' in line
    )


def test_the_metrics_page_is_about_all_workers(whole):
    before = _total(whole.get("/monitoring/prometheus/metrics"), "request_count")
    connections = [connect(whole) for _ in range(16)]
    for connection in connections:
        predict(connection)
    pids = {whole.pid_of(connection) for connection in connections}
    for connection in connections:
        connection.close()
    assert WORKERS == len(pids)
    pages = {_total(whole.get("/monitoring/prometheus/metrics"), "request_count") for _ in range(6)}
    assert {before + 16} == pages


def _reload(running, *names, base):
    request = model_management_pb2.ReloadConfigRequest()
    for name in names:
        request.config.model_config_list.config.add(name=name, base_path=str(base / name), model_platform="tensorflow")
    with grpc.insecure_channel(running.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        return stub.HandleReloadConfigRequest(request, timeout=60, wait_for_ready=True)  # one may just have died


def _names(running):
    """The models that each of several connections finds."""
    return {tuple(one["name"] for one in json.loads(running.get("/models")) if _served(one)) for _ in range(16)}


def _served(model):
    return any(version["state"] == "AVAILABLE" for version in model["versions"])


def test_a_new_list_of_models_reaches_all_workers_and_those_that_come_later(whole, served, wait_for):
    _reload(whole, "half", base=served)
    assert {("half",)} == _names(whole)
    victim = whole.pids()[0]
    os.kill(victim, signal.SIGKILL)
    _reload(whole, "half", "echo", base=served)  # waits for the one that starts again, or it starts with the list
    wait_for(lambda: victim not in whole.pids() and len(whole.pids()) == WORKERS, 60)
    wait_for(lambda: spread(whole) == set(whole.pids()), 60)
    assert {("echo", "half")} == _names(whole)
    _reload(whole, "half", base=served)
    assert {("half",)} == _names(whole)
    _reload(whole, "half", "echo", base=served)


def test_lists_that_cross_leave_all_workers_with_one(whole, served):
    lists = [("half",), ("half", "echo")] * 3
    with ThreadPoolExecutor(len(lists)) as executor:
        calls = [executor.submit(_reload, whole, *names, base=served) for names in lists]
        errors = [call.exception() for call in calls]
    assert all(error is None or error.code() is grpc.StatusCode.ABORTED for error in errors)
    _reload(whole, "half", "echo", base=served)
    assert {("echo", "half")} == _names(whole)


def _deaths(running):
    """The metrics' count of workers that died."""
    page = running.get("/monitoring/prometheus/metrics")
    found = re.search(r"^keraspipe_worker_deaths_total (\d+)$", page, re.MULTILINE)
    return int(found[1]) if found else 0


def test_a_worker_that_is_killed_costs_its_own_connections_only_and_comes_back(whole, wait_for):
    connections = [connect(whole) for _ in range(16)]
    for connection in connections:
        predict(connection)
    victim = whole.pids()[-1]
    living = [connection for connection in connections if whole.pid_of(connection) != victim]
    assert 0 < len(living) < len(connections)
    parent, deaths = psutil.Process(whole.process.pid), _deaths(whole)
    files, failures, over = parent.num_fds(), [], threading.Event()

    def load(connection):
        while not over.is_set():
            try:
                assert 4.0 == predict(connection)
            except Exception as error:  # noqa: BLE001 - the test wants none
                failures.append(error)

    with ThreadPoolExecutor(len(living)) as executor:
        for connection in living:
            executor.submit(load, connection)
        try:
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: victim not in whole.pids() and len(whole.pids()) == WORKERS, 60)
            wait_for(lambda: spread(whole) == set(whole.pids()), 60)
        finally:
            over.set()
    for connection in connections:
        connection.close()
    assert [] == failures
    assert files == parent.num_fds()
    assert deaths + 1 == _deaths(whole)
    told = re.findall(r"Told: Worker \d died \(code -9\) and is restarted; the log has more", whole.log.read_text())
    assert deaths + 1 == len(told)
    assert [] == [child for child in parent.children() if child.status() == psutil.STATUS_ZOMBIE]


def test_the_unix_socket_is_one_workers(running):
    path = next(
        connection.laddr
        for pid in running.pids()
        for connection in psutil.Process(pid).net_connections("unix")
        if connection.laddr.endswith("/s")
    )
    listening = [
        pid
        for pid in running.pids()
        if any(connection.laddr == path for connection in psutil.Process(pid).net_connections("unix"))
    ]
    assert 1 == len(listening)
    with Client(f"unix:{path}") as client:
        assert [3.0] == client.predict("half", {"x": [0.0]})["y"].tolist()


def test_another_server_at_the_port_hears_that_it_is_taken(running, served, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(_SERVE)
    port = int(running.rest.rpartition(":")[2])
    arguments = {"base_path": str(served), "rest_port": port, "grpc_port": None, "workers": 2}
    result = subprocess.run(
        [sys.executable, script, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert (1, True) == (result.returncode, "PortTaken" in result.stderr), result.stderr[-2000:]


def test_a_drain_answers_what_is_in_flight_and_kills_who_hangs(served, tmp_path_factory):
    with fleet(tmp_path_factory, served, drain_seconds=5) as running, contextlib.ExitStack() as stack:
        pids = running.pids()
        connections = [stack.enter_context(contextlib.closing(connect(running))) for _ in range(16)]
        for connection in connections:
            predict(connection)
        busy = next(connection for connection in connections if running.pid_of(connection) == pids[0])
        os.kill(pids[1], signal.SIGSTOP)
        busy.request("POST", "/v1/models/echo:predict", json.dumps({"signature_name": "slow", "instances": [1.0]}))
        assert (0, 200) == (running.stop(), busy.getresponse().status)
        assert not any(psutil.pid_exists(pid) for pid in pids)
        assert "does not exit and is killed" in running.log.read_text()


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def _command(model):
    """`python -m serving` with two workers; gives the process, and sees to its end."""
    process = subprocess.Popen(
        [
            *[sys.executable, "-m", "serving", "--workers=2", f"--port={_free_port()}", "--model_name=m"],
            *[f"--model_base_path={model}", "--max_num_load_retries=0"],
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_models_that_cannot_start_end_the_server_with_the_error(tmp_path):
    (tmp_path / "1").mkdir(parents=True)
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"broken")
    with _command(tmp_path) as process:
        output, _ = process.communicate(timeout=120)
    text = "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available"
    assert (255, True) == (process.returncode, text in output), output


def test_a_worker_that_dies_before_it_could_answer_ends_the_start(served, wait_for):
    def spawned():
        children = psutil.Process(process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    with _command(served / "half") as process:
        wait_for(lambda: len(spawned()) == WORKERS)
        children = spawned()
        children[0].kill()
        output, _ = process.communicate(timeout=60)
    assert (255, True) == (process.returncode, "ended with code -9 before it could answer" in output), output
    assert not any(child.is_running() for child in children)


def test_each_worker_has_its_share_of_the_limits(tmp_path):
    options = ServeOptions(workers=4, grpc_socket=tmp_path / "s", limits=Limits(request_bytes=9, concurrent=10))
    shares = [worker_options(options, number) for number in range(4)]
    assert worker_options(dataclasses.replace(options, notice=print), 1).notice is None  # it is the parent's
    assert [tmp_path / "s", None, None, None] == [one.grpc_socket for one in shares]
    assert Limits(9, 2, available_memory() // 2 // 4) == shares[0].limits
    assert 1 == worker_options(dataclasses.replace(options, limits=Limits(concurrent=1)), 0).limits.concurrent
    assert 25 == worker_options(dataclasses.replace(options, limits=Limits(memory_bytes=100)), 0).limits.memory_bytes


def test_the_workers_end_with_their_parent(whole, wait_for):
    """The last of this file: it takes the shared server away."""
    pids = whole.pids()
    whole.process.kill()
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in pids), 60)
