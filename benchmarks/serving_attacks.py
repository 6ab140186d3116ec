"""What hostile requests cost a server: its memory, the p99 of others, and whether it lives.

    python -m benchmarks.serving_attacks [NAME...] [--workers N] [--memory-mb N] [--repeat N] [--seconds N]
    python -m benchmarks.serving_attacks --mutations 100000 [--workers N]

Each attack runs against a fresh server of small models, some seconds at rest and some under attack in turn. Meanwhile a
client asks a model that is not attacked, and a probe asks for health. The server, the attacker and the clients are
processes of their own. A last turn is the control: nobody attacks, and a process that has nothing to do with the server
takes as much processor time as server and attacker took. What it costs the client is due to the processors alone.

Printed are medians of the repeats: the peak of the server's memory above that at rest (MiB), p99 of the client at rest,
under attack and in the control, p99 of the probe (ms), errors that the two clients saw, and processes that died. With
`--mutations` all inputs are sound ones with a few bytes changed, of every kind in turn.
Not part of `python -m benchmarks`: it has no targets of speed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.hostile.attackers import ATTACKS
from benchmarks.hostile.burn import burning
from benchmarks.hostile.server import Server, run_server, save_models
from benchmarks.hostile.watch import Measurement, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

_FEW = 600
_HEAD = """| attack | memory | p99 of others: rest -> attack (control) | p99 of health | errors | died |
|---|---|---|---|---|---|"""
Turn = tuple[Measurement, Measurement, Measurement]


def attack(server: Server, name: str, seconds: float, mutations: int) -> float:
    """Runs an attacker; the processor seconds per second that it took."""
    began = time.monotonic()
    module, arguments = ("mutations", [str(mutations)]) if mutations else ("attackers", [name])
    ports = [str(server.rest), str(server.grpc)]
    command = [sys.executable, "-m", f"benchmarks.hostile.{module}", *arguments, *ports, str(seconds)]
    spent = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
    return spent / (time.monotonic() - began)


def watch(server: Server, action: Callable[[], object]) -> Measurement:
    """Measures while something happens."""
    running = Watch(server)
    action()
    return running.end()


def measure(server: Server, name: str, options: argparse.Namespace) -> Turn:
    """One turn: at rest, under attack, and the control."""
    own = 0.0

    def run() -> None:
        nonlocal own
        own = attack(server, name, options.seconds, options.mutations)

    rest = watch(server, lambda: time.sleep(options.seconds))
    under = watch(server, run)
    with burning(under.cores + own):
        control = watch(server, lambda: time.sleep(options.seconds))
    return rest, under, control


def line(name: str, turns: list[Turn], died: int) -> str:
    """A line of the table."""
    rest, under, control = zip(*turns, strict=True)

    def middle(each: tuple[Measurement, ...], field: str) -> float:
        return median(getattr(one, field) for one in each)

    more = middle(under, "peak_mb") - middle(rest, "peak_mb")
    idle, busy = middle(rest, "predict_ms"), middle(under, "predict_ms")
    return (
        f"| {name} | {more:,.0f} MiB | {idle:.1f} -> {busy:.1f} ms = {busy / idle:.1f}x "
        f"({middle(control, 'predict_ms'):.1f} ms) | "
        f"{middle(rest, 'health_ms'):.1f} -> {middle(under, 'health_ms'):.1f} ms | "
        f"{sum(one.failed for one in under)} | {died or '-'} |"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="attacks by the beginning of their names (default: all)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--memory-mb", type=int, default=0, help="as of the server; 0 for its default")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument(
        "--mutations", type=int, nargs="?", const=_FEW, default=0, help=f"send so many changed inputs ({_FEW})"
    )
    options = parser.parse_args()
    names = [f"{options.mutations} mutations"] if options.mutations else list(ATTACKS)
    with tempfile.TemporaryDirectory() as folder:
        save_models(Path(folder))
        print(_HEAD, flush=True)
        for name in names:
            if not options.names or name.startswith(tuple(options.names)):
                with run_server(Path(folder), options.workers, options.memory_mb) as server:
                    turns = [measure(server, name, options) for _ in range(options.repeat)]
                    print(line(name, turns, server.deaths()), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
