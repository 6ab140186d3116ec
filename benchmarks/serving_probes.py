"""How long probes, status, metrics and gRPC's health service take while every thread for models is busy.

    python -m benchmarks.serving_probes [--seconds N]

Prints median and p99 (ms) at rest, with all threads busy, and in a control: the server is idle, and processes that have
nothing to do with it keep the same number of threads busy. The bound is 50 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.hostile.attackers import PREDICT
from benchmarks.hostile.burn import burning
from benchmarks.hostile.server import Server, run_server, save_models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PAUSE_S = 0.02
_PATHS = ("/healthz", "/readyz", "/v1/models/numbers", "/v1/models/numbers/metadata", "/monitoring/prometheus/metrics")
_HEALTH = "gRPC health"
Times = dict[str, list[float]]


@contextlib.contextmanager
def asking(server: Server) -> Iterator[dict[str, Callable[[], object]]]:
    """What asks each probe once."""
    import grpc

    def get(path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.rest, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise RuntimeError(f"{path} answered {answer.status}")

    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        asks: dict[str, Callable[[], object]] = {path: lambda path=path: get(path) for path in _PATHS}  # type: ignore[misc]
        yield asks | {_HEALTH: lambda: check(b"", timeout=30)}


def measure(asks: dict[str, Callable[[], object]], seconds: float) -> Times:
    """Milliseconds of every answer."""
    taken: Times = {name: [] for name in asks}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, ask in asks.items():
            began = time.monotonic()
            ask()
            taken[name].append((time.monotonic() - began) * 1e3)
            time.sleep(_PAUSE_S / len(asks))
    return taken


@contextlib.contextmanager
def busy(server: Server, threads: int) -> Iterator[None]:
    """Keeps more runs under way than the server has threads for."""
    import grpc

    from serving.wire import protos

    request = protos.load("apis.predict_pb2").PredictRequest()
    request.model_spec.name = "slow"
    request.inputs["x"].dtype = 1
    request.inputs["x"].float_val.append(1.0)
    request.inputs["x"].tensor_shape.dim.add().size = 1
    message, ended = request.SerializeToString(), threading.Event()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        call = channel.unary_unary(PREDICT)

        def repeat() -> None:
            while not ended.is_set():
                with contextlib.suppress(grpc.RpcError):
                    call(message, timeout=60)

        clients = [threading.Thread(target=repeat, daemon=True) for _ in range(threads)]
        for client in clients:
            client.start()
        time.sleep(1.0)
        yield
        ended.set()
        for client in clients:
            client.join(60)


def show(times: list[Times]) -> None:
    """Prints the table."""
    print("| probe | at rest | threads busy | control |\n|---|---|---|---|")
    for name in times[0]:
        columns = [f"{median(taken[name]):.1f} / {_p99(taken[name]):.1f} ms" for taken in times]
        print(f"| {name} | {' | '.join(columns)} |")


def _p99(taken: list[float]) -> float:
    return sorted(taken)[int(0.99 * (len(taken) - 1))]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    seconds, threads = parser.parse_args().seconds, 4 * (os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        save_models(Path(folder))
        with run_server(Path(folder)) as server, asking(server) as asks:
            rest = measure(asks, seconds)
            with busy(server, 2 * threads):
                under = measure(asks, seconds)
            with burning(threads):
                control = measure(asks, seconds)
        show([rest, under, control])


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
