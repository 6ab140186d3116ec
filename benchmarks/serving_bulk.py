"""Large requests: images of 1 MB compared with the model without a server, and 1,000 rows of JSON with MLServer."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from typing import IO, TYPE_CHECKING

from benchmarks.measure import Row, SkippedError
from benchmarks.serving import answers, models, payloads, process, servers, turns

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from serving.loadtest.target import Target

REPEAT = 5
IMAGES = 0.8
BATCHES = 3.0
CLIENTS = 4
ROWS = 1000


def measure(repeat: int) -> list[Row]:
    """Measures images over REST and gRPC, then batches of rows."""
    return [*_images(repeat), _batches(repeat)]


def _images(repeat: int) -> list[Row]:
    values = payloads.texts(models.large_image())
    folder = models.folder("image")
    with servers.ours(folder, "image", values) as own, _bare(str(folder / "image" / "1"), values[0]) as bare:
        targets = {"REST": own.rest("image", values), "gRPC": own.rpc("image", values)}
        ours: dict[str, list[float]] = {name: [] for name in targets}
        theirs = []
        for _ in range(repeat):
            for name, target in targets.items():
                ours[name].append(_rate(target))
            theirs.append(_called(bare))
    size = f"{len(values[0]) / 1e6:.1f} MB"
    return [
        Row(f"{name}, images of {size}, one thread without a server", "requests/s", found, theirs, at_least=IMAGES)
        for name, found in ours.items()
    ]


@contextlib.contextmanager
def _bare(model: str, content: bytes) -> Iterator[subprocess.Popen[str]]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        command = [sys.executable, "-m", "benchmarks.serving.bare", model, file.name]
        with process.running(command, talks=True) as bare:
            _pipe(bare.stdout).readline()
            yield bare


def _called(bare: subprocess.Popen[str]) -> float:
    """Returns the calls per second of the process without a server."""
    _pipe(bare.stdin).write(f"{turns.MEASURED_S}\n")
    _pipe(bare.stdin).flush()
    return float(_pipe(bare.stdout).readline())


def _pipe(found: IO[str] | None) -> IO[str]:
    assert found is not None
    return found


def _rate(target: Target) -> float:
    return turns.good(target, turns.closed(CLIENTS)).rate


def _batches(repeat: int) -> Row:
    title = f"REST mlp, {ROWS:,} rows a request, MLServer"
    folder, values = models.folder("mlp"), payloads.numbers(ROWS)
    try:
        with servers.ours(folder, "mlp", values) as own, servers.mlserver(folder, "mlp", values) as theirs:
            targets = {"ours": own.rest("mlp", values), "MLServer": theirs}
            answers.must_be_the_same(targets)
            found = turns.rates(targets, (CLIENTS,), repeat)
    except SkippedError as reason:
        return Row(title, "requests/s", at_least=BATCHES, note=str(reason))
    return Row(title, "requests/s", found["ours"][CLIENTS], found["MLServer"][CLIENTS], at_least=BATCHES)
