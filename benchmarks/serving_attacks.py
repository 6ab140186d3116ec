"""What hostile requests cost a server: its memory, the p99 of others, and whether it lives.

    python -m benchmarks.serving_attacks [NAME...] [--workers N] [--mutations N] [--memory-mb N]

Each attack runs against a fresh server of three small models (numbers, images, recordings). Meanwhile a client asks the
numbers, and a probe asks for health. Printed are the peak of the server's memory above that at rest, both p99 next to
those at rest, and the processes that died. Not part of `python -m benchmarks`: it has no targets of speed.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.serving.hostile import JXL, JXL_SLOW, WEBP, gif, jpeg, mutated, packed, png, wav

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
REST_S, ATTACK_S = 3.0, 8.0
Server = dict[str, Any]


def save_models(folder: Path) -> None:
    """Saves the models `numbers`, `images` (of any size) and `recordings`."""
    import tensorflow as tf

    from pipeline.features import audio, image

    strings = [tf.TensorSpec([None], tf.string, name="x")]
    graphs: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
        "numbers": (lambda x: {"y": x / 2}, [tf.TensorSpec([None], tf.float32, name="x")]),
        "images": (lambda x: {"y": image.decode(x, (8, 8, 3), resize=True)[:, 0, 0]}, strings),
        "recordings": (lambda x: {"y": tf.reduce_sum(audio.decode(x, 100, 8000), 1)}, strings),
    }  # fmt: skip
    for name, (graph, spec) in graphs.items():
        module = tf.Module()
        module.run = tf.function(graph, input_signature=spec)
        tf.saved_model.save(module, str(folder / name / "1"), signatures=module.run)


@contextlib.contextmanager
def server(models: Path, workers: int, memory_mb: int) -> Iterator[Server]:
    """Runs `python -m serving`."""
    ports = [free_port(), free_port()]
    config = models / "models.config"
    entry = 'config {{ name: "{0}" base_path: "{1}/{0}" model_platform: "tensorflow" }}'
    names = ("numbers", "images", "recordings")
    config.write_text(f"model_config_list {{ {' '.join(entry.format(name, models) for name in names)} }}")
    flags = [
        f"--rest_api_port={ports[0]}",
        f"--port={ports[1]}",
        f"--model_config_file={config}",
        f"--workers={workers}",
    ]
    flags += [f"--max-memory-mb={memory_mb}"] if memory_mb else []
    process = subprocess.Popen([sys.executable, "-m", "serving", *flags], cwd=ROOT, stdout=-3, stderr=-3)
    running = {"process": process, "rest": ports[0], "grpc": ports[1]}
    try:
        while not healthy(running):
            time.sleep(0.1)
        for content in (png(8), wav(200)):
            post(running, "images" if content[:1] == b"\x89" else "recordings", content)
        yield running
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return int(holder.getsockname()[1])


def healthy(running: Server) -> bool:
    """Whether the server answers all models' status."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", running["rest"], timeout=10)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def post(running: Server, model: str, content: bytes, *, count: int = 1, timeout: float = 60) -> int:
    """Sends encoded content to a model; the status, 0 where the connection broke."""
    row = {"b64": base64.b64encode(content).decode()}
    return send(running, model, json.dumps({"instances": [row] * count}).encode(), timeout=timeout)


def send(running: Server, model: str, body: bytes, timeout: float = 60, encoding: str = "identity") -> int:
    """Posts a body; the status, 0 where the connection broke."""
    connection = http.client.HTTPConnection("127.0.0.1", running["rest"], timeout=timeout)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("POST", f"/v1/models/{model}:predict", body, {"Content-Encoding": encoding})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    return 0


def flood(action: Callable[[], Any], threads: int = 8, seconds: float = ATTACK_S) -> None:
    """Repeats an action in threads."""
    end = time.monotonic() + seconds

    def loop() -> None:
        while time.monotonic() < end:
            action()

    started = [threading.Thread(target=loop, daemon=True) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(seconds + 70)


def hold(running: Server, count: int, first: bytes, drip: bytes = b"") -> None:
    """Opens connections that send little, and stay."""
    opened = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", running["rest"]), timeout=5)
            connection.sendall(first)
            opened.append(connection)
    end = time.monotonic() + ATTACK_S
    while time.monotonic() < end:
        for connection in opened if drip else ():
            with contextlib.suppress(OSError):
                connection.sendall(drip)
        time.sleep(0.5)
    for connection in opened:
        connection.close()


def quick_then_slow(running: Server) -> None:
    """Teaches the server that images are quick, and then sends large ones."""
    small, large = png(8), png(5000)
    for _ in range(200):
        post(running, "images", small)
    flood(lambda: post(running, "images", large), 2)


def mutations(running: Server, count: int) -> None:
    """Sends mutated images, recordings and gRPC messages."""
    import grpc
    from PIL import Image

    kinds = []
    for kind, options in (
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {}),
    ):
        buffer = io.BytesIO()
        Image.effect_noise((24, 17), 90).convert("RGB").save(buffer, kind, **options)
        kinds.append(("images", buffer.getvalue()))
    kinds.append(("recordings", wav(300)))
    channel = grpc.insecure_channel(f"127.0.0.1:{running['grpc']}")
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    message = bytes.fromhex("0a090a076e756d62657273120f0a0178120a08011204120208012a0400000040")

    def one(seed: int) -> None:
        model, content = kinds[seed % len(kinds)]
        post(running, model, mutated(content, seed))
        if seed % 4 == 0:
            with contextlib.suppress(grpc.RpcError):
                call(mutated(message, seed), timeout=10)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(count)))
    channel.close()


def attacks(count: int) -> dict[str, Callable[[Server], Any]]:
    """All attacks by name."""
    huge, head = png(9900), b"POST /v1/models/numbers:predict HTTP/1.1\r\n"
    twins = b'{"instances": [' + b'{"x": 1, "x": 2},' * 350_000 + b'{"x": 1}]}'
    deep = b'{"instances": ' + b"[" * 3_000_000 + b"]" * 3_000_000 + b"}"
    nested = packed(b"[],", 57_000_000)
    return {
        "JPEG XL, 11 bytes": lambda s: flood(lambda: post(s, "images", JXL)),
        "JPEG XL, slow": lambda s: flood(lambda: post(s, "images", JXL_SLOW)),
        "WebP bomb": lambda s: flood(lambda: post(s, "images", WEBP)),
        "PNG bomb": lambda s: flood(lambda: post(s, "images", huge), 6),
        "GIF bomb": lambda s: flood(lambda: post(s, "images", gif(40_000))),
        "JPEG bomb": lambda s: flood(lambda: post(s, "images", jpeg(20_000)), 4),
        "WAV bomb": lambda s: flood(lambda: post(s, "recordings", wav(100, 2**31 - 2)), 4),
        "gzip, three of 56 KB": lambda s: flood(lambda: send(s, "numbers", nested, encoding="gzip"), 3, 1),
        "announced lengths": lambda s: hold(s, 200, head + b"Content-Length: 100000000\r\n\r\n{"),
        "slow heads": lambda s: hold(s, 300, head, b"X: y\r\n"),
        "idle connections": lambda s: hold(s, 1500, b""),
        "quick, then slow": quick_then_slow,
        "JSON with twin keys, 6 MB": lambda s: flood(lambda: send(s, "numbers", twins), 2),
        "deep JSON, 6 MB": lambda s: flood(lambda: send(s, "numbers", deep), 2),
        f"{count} mutations": lambda s: mutations(s, count),
    }


class Watch:
    """Samples memory and processes of a server, and asks it, in threads."""

    def __init__(self, running: Server) -> None:
        import psutil

        self._server, self._stop = running, threading.Event()
        self._process = psutil.Process(running["process"].pid)
        self.peak, self.pids, self.seconds = 0, set[int](), {"predict": [], "health": []}  # type: ignore[var-annotated]
        asks = [("predict", "POST", "/v1/models/numbers:predict"), ("health", "GET", "/healthz")]
        self._threads = [threading.Thread(target=self._ask, args=one, daemon=True) for one in asks]
        self._threads.append(threading.Thread(target=self._sample, daemon=True))
        for thread in self._threads:
            thread.start()

    def _ask(self, name: str, method: str, path: str) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self._server["rest"], timeout=30)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
                connection.request(method, path, b'{"instances": [1.0]}' if method == "POST" else None)
                connection.getresponse().read()
            self.seconds[name].append(time.monotonic() - began)
            time.sleep(0.02)

    def _sample(self) -> None:
        import psutil

        while not self._stop.is_set():
            with contextlib.suppress(psutil.Error):
                family = [self._process, *self._process.children(recursive=True)]
                self.pids |= {each.pid for each in family}
                self.peak = max(self.peak, sum(each.memory_info().rss for each in family))
            time.sleep(0.02)

    def end(self) -> tuple[float, float, float]:
        """Stops; peak in MiB, p99 of the client and of the probe in ms."""
        self._stop.set()
        for thread in self._threads:
            thread.join(31)
        p99 = [sorted(taken)[int(0.99 * (len(taken) - 1))] * 1e3 for taken in self.seconds.values()]
        return self.peak / 2**20, p99[0], p99[1]


def measure(name: str, attack: Callable[[Server], Any], models: Path, options: argparse.Namespace) -> str:
    """Runs an attack; its line of the table."""
    with server(models, options.workers, options.memory_mb) as running:
        watch = Watch(running)
        time.sleep(REST_S)
        rest, before = watch.end(), watch.pids
        watch = Watch(running)
        attack(running)
        peak = watch.end()
        died = "server" if running["process"].poll() is not None else len(watch.pids - before) or "-"
    return (
        f"| {name} | {peak[0] - rest[0]:,.0f} MiB | {rest[1]:.0f} -> {peak[1]:.0f} ms | "
        f"{rest[2]:.0f} -> {peak[2]:.0f} ms | {died} |"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="attacks by the beginning of their names (default: all)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--memory-mb", type=int, default=0, help="as of the server; 0 for its default")
    options = parser.parse_args()
    chosen = attacks(options.mutations)
    with tempfile.TemporaryDirectory() as folder:
        save_models(Path(folder))
        print("| attack | memory | p99 of others | p99 of health | died |\n|---|---|---|---|---|", flush=True)
        for name, attack in chosen.items():
            if not options.names or name.startswith(tuple(options.names)):
                print(measure(name, attack, Path(folder), options), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
