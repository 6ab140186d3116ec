"""The suite itself: what shares a fixture of its file stays in one process, or each process would make it anew."""

import os

import pytest


@pytest.fixture(scope="module")
def shared():
    return []


@pytest.mark.parametrize("turn", range(4))
def test_what_shares_a_fixture_stays_together(shared, turn, request):
    shared.append(turn)
    assert request.node.get_closest_marker("xdist_group")
    if "PYTEST_XDIST_WORKER" in os.environ and request.config.getoption("loadgroup", default=False):
        assert request.node.nodeid.endswith("@" + str(request.node.path))
        assert list(range(turn + 1)) == shared
