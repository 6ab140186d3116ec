"""The pipeline's side of a training on several nodes, against nodes that say what they are instructed to say."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.distributed import cluster
from pipeline.errors import PipelineError, UsageError
from pipeline.settings import Settings
from pipeline.store import journal

READY = {"ready": "10.0.0.1:5"}


@contextmanager
def node(*connections):
    """A node that answers each connection in turn with lines, the first one at once, the others when it gets a message.

    Yields its address and what it received; an answer that ends with None ends the connection, others leave it open.
    """
    received, kept = [], []

    def answer():
        for lines in connections:
            connection, _ = server.accept()
            kept.append(connection)
            with (
                suppress(OSError, ValueError),
                connection.makefile("rw") as channel,
            ):  # the pipeline may leave at any time
                for number, line in enumerate(lines):
                    if number < 2:
                        received.append(json.loads(channel.readline()))
                    if line is None:
                        connection.shutdown(socket.SHUT_RDWR)
                        break
                    print(json.dumps(line), file=channel, flush=True)
                else:
                    channel.readline()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield "{}:{}".format(*server.getsockname()), received
        finally:
            for connection in kept:
                connection.close()
            thread.join()


@pytest.fixture
def train(tmp_path):
    """Trains a recipe on nodes; the count may say that there should be more."""
    recipe = tmp_path / "plain.py"
    recipe.write_text('"""Words."""\nRECIPE = Recipe()\n')

    def call(*addresses, count=""):
        config = {
            "recipe": str(recipe),
            "code": "",
            "checkpoints": str(tmp_path / "checkpoints" / "abc"),
            "nodes": ",".join(addresses),
            "node_count": count,
        }
        paths = dict.fromkeys(("transform_graph_path", "model_run_dir", "serving_model_dir"), "x")
        files = {"train_files": ["x"], "eval_files": ["x"]}
        cluster.train(SimpleNamespace(**paths, **files, custom_config=config))

    return call


def started(nodes, stack):
    return [stack.enter_context(node(*connections)) for connections in nodes]


def test_nodes_learn_what_to_train_and_who_they_are(train, tmp_path):
    with ExitStack() as stack:
        pairs = sorted(started([[[READY, {"done": True}]], [[READY, {"done": True}]]], stack))
        train(*(address for address, _ in pairs))
        for index, (_, received) in enumerate(pairs):
            order, place = received
            assert "checkpoints/abc/task.json" == order["task"]
            assert {"nodes": [READY["ready"]] * 2, "index": index} == place
    assert '"""Words."""\nRECIPE = Recipe()\n' == json.loads((tmp_path / order["task"]).read_text())["text"]


def test_what_node_0_tells_goes_into_the_journal(train, tmp_path):
    event = {"event": "epoch", "epoch": 1, "metrics": {"loss": 0.5}}
    with node([READY, event, {"done": True}]) as (address, _), journal.use_journal(tmp_path / "journal.jsonl"):
        train(address)
    ((received, _),) = journal.iter_events(tmp_path / "journal.jsonl")
    assert event == {name: received[name] for name in event}


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ([READY, {"wrong": "The training diverged."}], [READY], "^The training diverged.$"),
        ([READY, {"failed": "ValueError: bad"}], [READY], r"failed on the node 127.*\n.*\n.*ValueError: bad"),
        ([READY, None], [READY], "was lost during the training"),
        ([READY, {"severed": "gone"}], [READY, None], "was lost during the training"),
        ([READY], [READY, None], "was lost during the training"),
    ],
)
def test_a_node_that_fails_or_is_lost_ends_the_training(train, first, second, words):
    with node(first) as (one, _), node(second) as (two, _), pytest.raises(PipelineError, match=words):
        train(one, two)


def test_nodes_that_lose_sight_of_each_other_say_so(train, monkeypatch):
    monkeypatch.setattr(cluster, "CAUSE_S", 0.1)
    with (
        node([READY, {"severed": "Unavailable"}]) as (one, _),
        node([READY]) as (two, _),
        pytest.raises(PipelineError, match=f"{one} lost sight of the others"),
    ):
        train(one, two)


def test_a_node_of_another_version_refuses(train):
    with (
        node([{"refused": "of another version"}]) as (one, _),
        pytest.raises(PipelineError, match=rf"{one} refuses to train.\n.*\n.*of another version"),
    ):
        train(one)


def test_a_busy_node_is_asked_again(train):
    with node([{"busy": "another training"}], [READY, {"done": True}]) as (address, received):
        train(address)
    assert 3 == len(received)


def test_a_missing_node_is_waited_for_and_then_reported(train, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as free:
        missing = "{}:{}".format(*free.getsockname())
    with node([READY]) as (one, _), pytest.raises(PipelineError, match="Not all nodes were there") as caught:
        train(one, missing)
    assert f"{one} ready" in str(caught.value)
    assert f"{missing} Connect" in str(caught.value)


def test_fewer_addresses_than_wanted_are_reported(train, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT_S", 0.1)
    with pytest.raises(PipelineError, match=r"Expected: 3 nodes at localhost:1\nReceived: 127\.0\.0\.1:1 found"):
        train("localhost:1", count="3")


@pytest.mark.parametrize(
    ("nodes", "count", "words"),
    [
        ("", "", "needs to know where the nodes are"),
        (" , ", "", "needs to know where the nodes are"),
        ("node:x", "", "KERASPIPE_NODES is malformed"),
        (":2222", "", "KERASPIPE_NODES is malformed"),
        ("node", "two", "KERASPIPE_NODE_COUNT is no number"),
        ("node", "0", "KERASPIPE_NODE_COUNT is no number"),
    ],
)
def test_settings_that_name_no_nodes_are_usage_errors(nodes, count, words):
    with pytest.raises(UsageError, match=words):
        cluster.check(Settings(distribution="nodes", nodes=nodes, node_count=count))


def test_other_distributions_need_no_nodes():
    assert cluster.check(Settings(distribution="auto", nodes=":", node_count="x")) is None


HOST = st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True)


@given(st.lists(st.tuples(HOST, st.integers(1, 65535)), min_size=1))
def test_places_are_read_as_they_are_written(places):
    assert places == cluster._parse_places(", ".join(f"{host}:{port}" for host, port in places))


@given(HOST)
def test_the_port_may_be_left_out(host):
    assert [(host, 2222)] == cluster._parse_places(host)
