"""What a model costs: its files, and the time of a call."""

from __future__ import annotations

from pipeline.export import cost


def test_size_is_that_of_all_files(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(bytes(1_500_000))
    (tmp_path / "variables" / "data").write_bytes(bytes(500_000))
    assert 2.0 == cost.size_mb(tmp_path)


def test_the_times_of_calls_are_ordered_and_counted():
    calls = []
    times = cost.measure_latency(lambda: calls.append(1))
    assert 0 <= times["p50"] <= times["p95"] <= times["p99"]
    assert times["calls"] + cost.WARM_UP_CALLS == len(calls)
    assert cost.MIN_CALLS <= times["calls"] <= cost.MAX_CALLS
