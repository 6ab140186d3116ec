"""The profile `multi`: two nodes train one network, and the pipeline beside them publishes it."""

import json

import pytest


@pytest.fixture
def nodes(stack, published):
    stack.compose("--profile", "multi", "up", "--detach", "--wait", "node")
    yield stack.containers("node")
    stack.compose("--profile", "multi", "rm", "--stop", "--force", "node")


def test_two_nodes_train_one_network(stack, nodes):
    assert 2 == len(nodes)
    result = json.loads(stack.compose("run", "--rm", "pipeline-multi", "run", "digits", "--seed", "4", "--json"))
    assert result["blessed"], result  # in this mode the pipeline itself trains nothing
