"""Versions that are damaged, half there, or taken away while they serve: the old one goes on."""

from __future__ import annotations

import json
import shutil
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COUNTS = [pytest.param(12, id="some"), pytest.param(150, id="many", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def half(saved, tmp_path_factory, run_server):
    """A server of `half`, version 1, of which tests publish version 2 and more."""
    base = tmp_path_factory.mktemp("versions")
    shutil.copytree(saved / "linear_1", base / "half" / "1")
    loading = {"poll_seconds": 0.02, "retry_seconds": 0.01, "max_retries": 0}
    with run_server(base, loading=loading) as server:
        yield server


@pytest.fixture
def states(half, exchange):
    """States and errors of the versions by number."""

    def ask():
        answer = exchange(half, b"GET /v1/models/half HTTP/1.1\r\n\r\n")
        found = json.loads(answer.partition(b"\r\n\r\n")[2])["model_version_status"]
        return {int(one["version"]): (one["state"], one["status"]["error_message"]) for one in found}

    return ask


@pytest.fixture
def try_version(half, saved, states, wait_for):
    """Publishes a version, waits until it is tried, asserts that a server answers, and takes it away again."""
    numbers = iter(range(int(time.time()), 2**40))

    def put(spoil):
        number = next(numbers)
        beside, folder = half.base / "half" / f".{number}", half.base / "half" / str(number)
        shutil.copytree(saved / "linear_2", beside)
        spoil(beside)
        beside.rename(folder)
        tried = {"AVAILABLE", "END"}  # of one answer: a version that failed is tried again
        outcome = wait_for(lambda: next((s for s in [states().get(number, ("",))[0]] if s in tried), ""))
        shutil.rmtree(folder)
        wait_for(lambda: states()[number][0] == "END")
        return outcome

    return put


def _truncate(path, size):
    with path.open("r+b") as file:
        file.truncate(size)


SPOILED = {
    "empty folder": lambda path: [shutil.rmtree(path), path.mkdir()],
    "empty pb": lambda path: _truncate(path / "saved_model.pb", 0),
    "half a pb": lambda path: _truncate(path / "saved_model.pb", 9000),
    "a folder for a pb": lambda path: [(path / "saved_model.pb").unlink(), (path / "saved_model.pb").mkdir()],
    "no variables": lambda path: shutil.rmtree(path / "variables"),
    "no data": lambda path: (path / "variables" / "variables.data-00000-of-00001").unlink(),
    "half the data": lambda path: _truncate(path / "variables" / "variables.data-00000-of-00001", 2),
    "half the index": lambda path: _truncate(path / "variables" / "variables.index", 60),
    "no index": lambda path: (path / "variables" / "variables.index").unlink(),
    "garbage": lambda path: (path / "saved_model.pb").write_bytes(b"\xff" * 10000),
    "garbled data": lambda path: (path / "variables" / "variables.data-00000-of-00001").write_bytes(b"\xff" * 12),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_version_leaves_the_old_one_serving(half, try_version, is_well, spoil):
    assert "END" == try_version(spoil)
    is_well(half, (3.0, 3.5))


@pytest.mark.parametrize("count", COUNTS)
def test_flipped_bytes(half, try_version, is_well, count):
    """Whatever becomes of such a version, the server lives, and serves the old one when it is gone."""

    @settings(max_examples=count, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.integers(0, 20000), st.integers(1, 255)), min_size=1, max_size=4))
    def check(flips):
        try_version(lambda path: _flip(path / "saved_model.pb", flips))
        assert half.process.poll() is None

    check()
    is_well(half, (3.0, 3.5))


def _flip(path, flips):
    data = bytearray(path.read_bytes())
    for at, change in flips:
        data[at % len(data)] ^= change
    path.write_bytes(data)


def test_a_version_that_is_still_being_copied(half, saved, states, wait_for, is_well):
    """The folder is there, its files come one after the other: served once they all are."""
    number = int(time.time()) * 1000
    folder, source = half.base / "half" / str(number), saved / "linear_2"
    folder.mkdir()
    wait_for(lambda: number in states())
    data = (source / "saved_model.pb").read_bytes()
    for end in (5000, 15000, len(data)):
        (folder / "saved_model.pb").write_bytes(data[:end])
        time.sleep(0.1)
        is_well(half, (3.0, 3.5))
    shutil.copytree(source / "variables", folder / "variables")
    wait_for(lambda: states()[number][0] == "AVAILABLE")
    is_well(half, (4.0, 4.5))
    shutil.rmtree(folder)
    wait_for(lambda: states()[1][0] == "AVAILABLE")
    is_well(half, (3.0, 3.5))


def test_versions_that_come_and_go_while_requests_run(half, saved, publish, states, wait_for, predict_client):
    """Each request is answered by one version or the other."""
    faults, over = [], threading.Event()

    def ask():
        client = predict_client(half.grpc)
        while not over.is_set():
            try:
                if client.ask([2.0, 3.0]) not in ([3.0, 3.5], [4.0, 4.5]):
                    faults.append("a wrong answer")
            except Exception as error:  # noqa: BLE001 - reported below
                faults.append(error)
        client.close()

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    first = int(time.time()) * 10000
    for number in range(first, first + 3):
        publish(saved / "linear_2", half.base / "half" / str(number))
        wait_for(lambda number=number: states().get(number, ("",))[0] == "AVAILABLE")
        shutil.rmtree(half.base / "half" / str(number))
        wait_for(lambda number=number: states()[number][0] == "END")
    over.set()
    for asker in askers:
        asker.join(30)
    assert [] == faults


def test_a_base_folder_that_goes_away_and_comes_back(half, states, is_well):
    elsewhere = half.base.with_name("elsewhere")
    half.base.rename(elsewhere)
    time.sleep(0.2)
    half.base.write_text("a file where the folder was")
    time.sleep(0.2)
    is_well(half, (3.0, 3.5))
    half.base.unlink()
    elsewhere.rename(half.base)
    time.sleep(0.2)
    assert "AVAILABLE" == states()[1][0]
    is_well(half, (3.0, 3.5))
