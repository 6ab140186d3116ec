"""A canary without a server: who is chosen, and what is told of both sides."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.models import Canary, Models, ModelSpec, challenger_name, choose_side
from serving.core.servable import Servable
from serving.errors import Code, InvalidArgument, NotFound
from serving.metrics import canary
from serving.metrics.exposition import merge_snapshots
from serving.metrics.registry import Metrics


class Model:
    """Stands for a loaded version."""

    def close(self):
        pass


def models(shares, **versions):
    found = Models(Canary(shares))
    for name, number in versions.items():
        servable = Servable(name.replace("_", "-"), number, None)
        servable.publish(Model())
        found.add(servable)
    return found


def answered(found, spec, body=b""):
    lease = found.acquire(spec, body)
    lease.release()
    return lease.servable.name, lease.servable.version, lease.name, lease.side


@given(body=st.binary(), share=st.floats(0, 1), more=st.floats(0, 1))
def test_whom_a_share_moves_a_larger_share_moves_too(body, share, more):
    if choose_side(body, min(share, more)) == "challenger":
        assert "challenger" == choose_side(body, max(share, more))
    assert ("champion", "challenger") == (choose_side(body, 0.0), choose_side(body, 1.0))


def test_the_share_is_kept_over_many_requests():
    bodies = [json.dumps({"instances": [number]}).encode() for number in range(20_000)]
    for share in (0.01, 0.1, 0.5):
        moved = sum(choose_side(body, share) == "challenger" for body in bodies)
        assert abs(moved - share * len(bodies)) < 4 * (share * (1 - share) * len(bodies)) ** 0.5


def test_a_request_with_a_version_or_label_is_never_moved():
    found = models({"m": 1.0}, m=1, m_challenger=2)
    found.relabel({"m": {"champion": 1}})
    assert ("m-challenger", 2, "m", "challenger") == answered(found, ModelSpec("m"))
    assert ("m", 1, "m", "") == answered(found, ModelSpec("m", version=1))
    assert ("m", 1, "m", "") == answered(found, ModelSpec("m", label="champion"))
    assert ("m-challenger", 2, "m-challenger", "") == answered(found, ModelSpec(challenger_name("m")))


def test_without_a_challenger_the_champion_answers():
    found = models({"m": 1.0}, m=1, other=3)
    assert ("m", 1, "m", "champion") == answered(found, ModelSpec("m"))
    assert ("other", 3, "other", "") == answered(found, ModelSpec("other"))
    with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(absent\)"):
        models({"absent": 1.0}).acquire(ModelSpec("absent"))


def test_a_lease_on_either_side_is_given_back():
    found = models({"m": 0.5}, m=1, m_challenger=2)
    for number in range(50):
        answered(found, ModelSpec("m"), bytes([number]))
    assert [0, 0] == [found.versions(name)[version].in_flight for name, version in (("m", 1), ("m-challenger", 2))]


def test_an_error_knows_who_would_have_answered():
    found = models({"m": 1.0}, m=1, m_challenger=2)
    chosen, plain = InvalidArgument("no such input"), InvalidArgument("no such input")
    found.acquire(ModelSpec("m")).refuse(chosen)
    found.acquire(ModelSpec("m", version=1)).refuse(plain)
    assert (("m", "challenger", 2), None) == (chosen.canary_choice, plain.canary_choice)
    found.acquire(ModelSpec("m")).refuse(KeyboardInterrupt())
    assert [0, 0] == [found.versions(name)[version].in_flight for name, version in (("m", 1), ("m-challenger", 2))]


def test_both_sides_in_numbers(tmp_path):
    shares = {"m": 0.1, "silent": 0.5}
    for number in range(2):  # two processes
        metrics = Metrics()
        for _ in range(99):
            metrics.record_choice("m", "champion", 1, Code.OK, 0.010)
        metrics.record_choice("m", "champion", 1, Code.INTERNAL, 0.5)
        metrics.record_choice("m", "challenger", 2, Code.OK, 0.002)
        canary.write_report(metrics.snapshot(), tmp_path)
        (tmp_path / f"{number}.json").write_bytes(next(tmp_path.glob("[0-9][0-9]*.json")).read_bytes())
    for path in tmp_path.glob("[0-9][0-9]*.json"):
        path.unlink()
    found = canary.read_report(tmp_path, shares)
    assert found == canary.summarize_sides(merge_snapshots([metrics.snapshot()] * 2), shares)
    first, second = found["m"]["champion"], found["m"]["challenger"]
    assert ([1], 200, 2) == (first["versions"], first["requests"], first["errors"])
    assert 10 <= first["p50_ms"] <= 12
    assert 10 <= first["p99_ms"] <= 12
    assert ([2], 2, 0) == (second["versions"], second["requests"], second["errors"])
    assert 2 <= second["p50_ms"] <= 2.4
    lines = canary.report_lines(found)
    assert lines[0].startswith("Canary m: champion version 1: 200 requests, 2 errors, p50 1")
    assert "Canary silent: challenger no request" == lines[3]
    page = metrics.text().decode()
    assert 'keraspipe_canary_requests_total{model="m",side="champion",version="1",code="OK"} 99' in page
