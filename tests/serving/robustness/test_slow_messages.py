"""gRPC messages that never end cost the server no more memory than it has for them, and others nothing."""

from __future__ import annotations

import time

import psutil

from benchmarks.hostile.http2 import SlowCall

PREDICT = "/tensorflow.serving.PredictionService/Predict"
HEALTH = "/grpc.health.v1.Health/Check"
MIB = 2**20


def test_dripping_messages_are_refused_and_others_are_answered(run_server, served, predict_client):
    """Half of 64 MiB is for messages on their way: of six that hold 8 MiB and more each, some go."""
    with run_server(served, limits={"memory_bytes": 64 * MIB}) as server:
        port = int(server.grpc.rpartition(":")[2])
        before = psutil.Process(server.process.pid).memory_info().rss
        calls = [SlowCall(port, PREDICT, 60 * MIB) for _ in range(6)]
        for call in calls:
            call.send(10 * MIB)
        client = predict_client(server.grpc)
        end = time.monotonic() + 20
        while sum(call.refused for call in calls) < 4 and time.monotonic() < end:
            assert [4.0] == client.ask([4.0])
        client.close()
        assert 4 <= sum(call.refused for call in calls) < 6
        assert psutil.Process(server.process.pid).memory_info().rss - before < 100 * MIB
        for call in calls:
            call.close()


def test_a_message_larger_than_the_memory_for_all_is_refused_at_once(run_server, served):
    with run_server(served, limits={"memory_bytes": MIB}) as server:
        call = SlowCall(int(server.grpc.rpartition(":")[2]), PREDICT, 2 * MIB)
        call.send(1000)
        end = time.monotonic() + 20
        while not call.refused and time.monotonic() < end:
            time.sleep(0.01)
        call.close()
        assert time.monotonic() < end


def test_a_probe_takes_no_message_that_drips(run_server, served):
    with run_server(served, health_service=True) as server:
        call = SlowCall(int(server.grpc.rpartition(":")[2]), HEALTH, MIB)
        call.send(1000)
        end = time.monotonic() + 20
        while not call.refused and time.monotonic() < end:
            time.sleep(0.01)
        call.close()
        assert time.monotonic() < end
