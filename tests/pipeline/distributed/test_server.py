"""`keraspipe node` as a process: what it answers before anything heavy is imported, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket

import pytest

from pipeline.distributed import task
from pipeline.recipes import catalog, fingerprint
from pipeline.store import fileio


@pytest.fixture
def service(keraspipe):
    """A running `keraspipe node`: the process and its (host, port)."""
    keraspipe.workspace.mkdir()
    process, lines, place = keraspipe.start("node", "--port", "0"), [], None
    try:
        while not place and (line := process.stderr.readline()):
            lines.append(line)
            place = re.search(r"on (\S+):(\d+),", line)
        assert place, f"The node ended with {process.wait()}: {''.join(lines)}"
        yield process, (place[1], int(place[2]))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def order(keraspipe, tmp_path):
    """What the pipeline asks for: a training that lies in the workspace."""
    recipe = tmp_path / "plain.py"
    recipe.write_text('"""Words."""\nRECIPE = Recipe()\n')
    path = keraspipe.workspace / "checkpoints" / "abc" / task.TASK_FILE

    def make(**changed):
        fileio.write_json(path, {})
        order = {
            "task": "checkpoints/abc/task.json",
            "recipe": str(recipe),
            "code": fingerprint.code_digest(catalog.read_recipe(recipe), "train"),
        }
        return {**order, **changed}

    return make


class Connection:
    """A connection to a node, spoken in lines of JSON."""

    def __init__(self, address):
        self.socket = socket.create_connection(address)
        self.channel = self.socket.makefile("rw")

    def ask(self, message):
        print(json.dumps(message), file=self.channel, flush=True)
        return json.loads(self.channel.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()
        self.socket.close()


def test_a_node_is_ready_for_a_training_of_its_own_version(service, order):
    with Connection(service[1]) as connection:
        host, _, port = connection.ask(order())["ready"].partition(":")
    assert service[1][0] == host
    assert 0 < int(port) < 65536


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"code": "0" * 64}, "of another version"),
        ({"recipe": "/nowhere/plain.py"}, "the recipe /nowhere/plain.py does not exist here"),
        ({"task": "checkpoints/other/task.json"}, "must share the pipeline's workspace"),
        ({"task": "../checkpoints/task.json"}, "must share the pipeline's workspace"),
    ],
)
def test_what_a_node_cannot_train_it_refuses(service, order, changed, words):
    with Connection(service[1]) as connection:
        assert words in connection.ask(order(**changed))["refused"]


def test_one_training_at_a_time_and_free_again_when_it_is_given_up(service, order):
    with Connection(service[1]) as first:
        assert "ready" in first.ask(order())
        with Connection(service[1]) as second:
            assert {"busy": "another training goes on"} == second.ask(order())
    while True:  # until the first one's process has noticed
        with Connection(service[1]) as third:
            message = third.ask(order())
        if "busy" not in message:
            break
    assert "ready" in message


def test_a_health_check_starts_nothing(service, order):
    with socket.create_connection(service[1]):
        pass
    with Connection(service[1]) as connection:
        assert "ready" in connection.ask(order())


def test_sigterm_ends_it_with_what_goes_on(service, order):
    process, address = service
    with Connection(address) as connection:
        connection.ask(order())
        process.send_signal(signal.SIGTERM)
        assert "" == connection.channel.readline()
    assert 0 == process.wait(timeout=60)


@pytest.mark.parametrize("port", ["taken", "65536", "-1"])
def test_a_port_that_cannot_be_listened_on_is_reported(keraspipe, service, port):
    answer = keraspipe("node", "--port", str(service[1][1]) if port == "taken" else port)
    assert 1 == answer.code
    assert "cannot be listened on" in answer.err
    assert "Traceback" not in answer.err
