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

The exit code is 1, and a line says why, where a process died, a client saw an error, or memory rose by more than the
server may take for requests: `--max-memory-mb`, and half as much again. Times depend on the machine and are not judged.
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
from serving.core.work import available_memory

if TYPE_CHECKING:
    from collections.abc import Callable

_FEW = 600
_WARM_UP_S = 1.0  # the first answers of each worker are slow
_MIB = 2**20
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


def find_faults(turns: list[Turn], died: int, most_mb: float) -> list[str]:
    """What no attack may do, in words.

    Args:
        turns: What was measured.
        died: Processes of the server that died.
        most_mb: By how much its memory may rise (MiB).
    """
    failed = sum(under.failed for _, under, _ in turns)
    more = max(under.peak_mb - rest.peak_mb for rest, under, _ in turns)
    faults = {
        f"{died} of the server's processes died": died,
        f"other clients saw {failed} errors": failed,
        f"memory rose by {more:,.0f} MiB, at most {most_mb:,.0f} MiB are allowed": more > most_mb,
    }
    return [text for text, holds in faults.items() if holds]


def choose(options: argparse.Namespace) -> list[str]:
    """Names of the attacks that are asked for.

    Raises:
        ValueError: A name is the beginning of none.
    """
    if options.mutations:
        return [f"{options.mutations} mutations"]
    if unknown := [begin for begin in options.names if not any(name.startswith(begin) for name in ATTACKS)]:
        raise ValueError(f"no attack is called {', '.join(unknown)}; there are: {', '.join(ATTACKS)}")
    return [name for name in ATTACKS if name.startswith(tuple(options.names) or "")]


def read_options() -> tuple[argparse.Namespace, list[str]]:
    """The arguments, and the names of the attacks."""
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
    try:
        return options, choose(options)
    except ValueError as error:
        parser.error(str(error))


def main() -> int:
    """Prints the table, and what is wrong in it; the exit code."""
    options, names = read_options()
    most_mb = 1.5 * (options.memory_mb or available_memory() // 2 / _MIB)
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        save_models(Path(folder))
        print(_HEAD, flush=True)
        for name in names:
            with run_server(Path(folder), options.workers, options.memory_mb) as server:
                watch(server, lambda: time.sleep(_WARM_UP_S))
                turns = [measure(server, name, options) for _ in range(options.repeat)]
                died = server.deaths()
            print(line(name, turns, died), flush=True)
            faults += [f"{name}: {fault}" for fault in find_faults(turns, died, most_mb)]
    print(*faults, sep="\n", end="\n" * bool(faults), file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
