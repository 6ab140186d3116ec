"""gRPC, one row per request: keraspipe and a plain grpc.aio server with the same callable; two workers and one.

The targets hold for 16 calls at a time; results for 1 and 64 are in the JSON.
"""

from __future__ import annotations

import importlib.util

from benchmarks.measure import Row
from benchmarks.serving import models, payloads, servers, turns

REPEAT = 5
CLIENTS = (1, 16, 64)
TARGET_CLIENTS = 16
PLAIN = 1.3
WORKERS = 1.3


def measure(repeat: int) -> list[Row]:
    """Measures against the plain server, then two workers against one."""
    return [_against_plain(repeat), _against_one(repeat)]


def _against_plain(repeat: int) -> Row:
    folder, values = models.folder("mlp"), payloads.numbers(1)
    with servers.ours(folder, "mlp", values) as own, servers.plain_grpc(folder, "mlp", values) as plain:
        found = turns.rates({"ours": own.rpc("mlp", values), "grpc.aio": plain}, CLIENTS, repeat)
    numbers = (found["ours"][TARGET_CLIENTS], found["grpc.aio"][TARGET_CLIENTS])
    title = f"gRPC mlp, {TARGET_CLIENTS} calls, plain grpc.aio"
    return Row(title, "requests/s", *numbers, at_least=PLAIN, details=turns.details(found))


def _against_one(repeat: int) -> Row:
    title = f"gRPC mlp, {TARGET_CLIENTS} calls, 2 workers against 1"
    if importlib.util.find_spec("serving.process.supervisor") is None:
        return Row(title, "requests/s", at_least=WORKERS, note="there is no serving.process.supervisor yet")
    folder, values = models.folder("mlp"), payloads.numbers(1)
    with servers.ours(folder, "mlp", values, workers=2) as two, servers.ours(folder, "mlp", values) as one:
        targets = {"two": two.rpc("mlp", values), "one": one.rpc("mlp", values)}
        # One channel per call: the system spreads connections over the workers at random; many of them even out.
        found = turns.rates(targets, (TARGET_CLIENTS,), repeat, channels=TARGET_CLIENTS)
    return Row(title, "requests/s", found["two"][TARGET_CLIENTS], found["one"][TARGET_CLIENTS], at_least=WORKERS)
