"""Life of models and of the process: reload, broken versions, warm-up, drain, ports."""

from __future__ import annotations

import shutil
import socket
import threading
from pathlib import Path

import pytest

from serving.client.client import Client
from serving.errors import NotFound
from serving.options import ServeOptions


@pytest.fixture(scope="module")
def live(tmp_path_factory, run_server):
    """A server that starts with no model at all; each test publishes its own."""
    with run_server(tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture
def client(live):
    with Client(live.rest) as opened:
        yield opened


def _states(client, name):
    try:
        return {one.version: one.state for one in client.status(name)}
    except NotFound:
        return {}


@pytest.fixture
def put(live, client, publish, wait_for):
    """Publish a version and wait until it is served."""

    def publish_and_wait(source, name, version=1):
        (live.base / name).mkdir(exist_ok=True)
        publish(source, live.base / name / str(version))
        wait_for(lambda: _states(client, name).get(version) == "AVAILABLE")

    return publish_and_wait


def test_starts_without_models(live):
    assert {} == live.endpoints["models"]
    assert live.rest.startswith("http://127.0.0.1:")


def test_hot_reload_fails_no_request(live, client, saved, publish, wait_for, put):
    put(saved / "linear_1", "hot")
    found, errors, stop = [], [], threading.Event()

    def keep_asking():
        with Client(live.rest) as own:
            while not stop.is_set():
                try:
                    found.append(own.predict("hot", {"x": [2.0]})["y"].tolist()[0])
                except Exception as error:  # noqa: BLE001 - any one fails the test
                    errors.append(error)

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    publish(saved / "linear_2", live.base / "hot" / "2")
    wait_for(lambda: _states(client, "hot") == {2: "AVAILABLE", 1: "END"})
    count = len(found)
    wait_for(lambda: len(found) > count + 10)
    stop.set()
    for thread in threads:
        thread.join()
    assert [] == errors
    assert ({3.0, 4.0}, 4.0) == (set(found), found[-1])


def test_a_broken_version_leaves_the_old_one_and_is_taken_when_mended(live, client, saved, wait_for, put):
    put(saved / "linear_1", "shaky")
    broken = live.base / "shaky" / "2"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    wait_for(lambda: _states(client, "shaky").get(2) == "END")
    assert {2: "END", 1: "AVAILABLE"} == _states(client, "shaky")
    assert client.status("shaky")[0].error
    assert [3.0] == client.predict("shaky", {"x": [2.0]})["y"].tolist()
    shutil.copytree(saved / "linear_2", broken, dirs_exist_ok=True)
    wait_for(lambda: _states(client, "shaky") == {2: "AVAILABLE", 1: "END"})
    assert [4.0] == client.predict("shaky", {"x": [2.0]})["y"].tolist()


def test_half_copied_version(live, client, saved, wait_for, put):
    put(saved / "linear_1", "copied")
    (live.base / "copied" / "2").mkdir()
    wait_for(lambda: _states(client, "copied").get(2) == "END")
    assert "Could not find SavedModel" in client.status("copied")[0].error
    assert [3.0] == client.predict("copied", {"x": [2.0]})["y"].tolist()


def test_removed_versions_are_dropped_and_may_come_back(live, client, saved, wait_for, put):
    put(saved / "linear_1", "gone")
    shutil.rmtree(live.base / "gone")
    wait_for(lambda: _states(client, "gone") == {1: "END"})
    with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(gone\)"):
        client.predict("gone", {"x": [2.0]})
    put(saved / "linear_2", "gone")
    assert [4.0] == client.predict("gone", {"x": [2.0]})["y"].tolist()


def test_names_that_are_no_numbers_are_no_versions(live, client, saved, put):
    for name in ("latest", "1.0", "-1", "99999999999999999999"):
        (live.base / "odd").mkdir(exist_ok=True)
        (live.base / "odd" / name).mkdir()
    put(saved / "linear_1", "odd", 42)
    assert {42: "AVAILABLE"} == _states(client, "odd")


def test_drain_answers_what_is_in_flight(saved, tmp_path, run_server, publish):
    (tmp_path / "echo").mkdir()
    publish(saved / "echo", tmp_path / "echo" / "1")
    with run_server(tmp_path) as running:
        host, port = running.rest.removeprefix("http://").split(":")
        answers = []
        with Client(running.rest) as client, socket.create_connection((host, int(port))) as idle:
            client.predict("echo", {"x": [1.0]})  # it knows the signatures now and asks for nothing else

            def ask():
                answers.append(client.predict("echo", {"x": [1.0]}, signature="slow")["y"].tolist())

            thread = threading.Thread(target=ask)
            thread.start()
            threading.Event().wait(0.3)
            assert thread.is_alive()
            assert 0 == running.terminate()
            thread.join()
            assert [[1.0]] == answers
            assert b"" == idle.recv(1)


@pytest.mark.process
def test_a_taken_port_is_reported_before_tensorflow_is_imported():
    import subprocess
    import sys

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option, what in (("rest_port", "REST"), ("grpc_port", "gRPC")):
            code = (
                "import sys; from pathlib import Path; from serving.options import ServeOptions; "
                "from serving.process.server import serve; from serving.errors import PortTaken\n"
                f"ports = {{'rest_port': 0, 'grpc_port': 0}} | {{'{option}': {port}}}\n"
                "try: serve(ServeOptions(Path('.'), **ports))\n"
                "except PortTaken as error: print(error, 'tensorflow' in sys.modules)"
            )
            out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
            assert f"The {what} server cannot listen at 127.0.0.1:{port}." in out
            assert "Received: [Errno 98]" in out
            assert out.rstrip().endswith("False")


def test_loopback_unless_asked_otherwise():
    assert "127.0.0.1" == ServeOptions(Path()).host


def test_a_folder_that_is_not_there_yet_is_reported_once(tmp_path, saved, caplog):
    from serving.config.models import model_source
    from serving.core.models import Models
    from serving.lifecycle.watcher import Watcher

    models = Models()
    watcher = Watcher(models, model_source(ServeOptions(tmp_path / "later")))
    watcher.look()
    watcher.look()
    assert ["Cannot read the list of models; the served models stay unchanged"] == [
        record.getMessage().split(": ")[0] for record in caplog.records
    ]
    shutil.copytree(saved / "linear_1", tmp_path / "later" / "m" / "3")
    watcher.look()
    assert {"m": [3]} == models.available()
