"""Streams of a language model: time to the first token, tokens per second of one and of four streams.

The model is the first language model that is live in the workspace (`KERASPIPE_WORKSPACE`).
What it is held against is its own graph: `decode` called in a loop, nothing else.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import numpy as np

from benchmarks.measure import Row, SkippedError, in_turns, say
from benchmarks.serving import process
from pipeline import settings
from pipeline.store import champions

if TYPE_CHECKING:
    from pathlib import Path

REPEAT = 3
TOKENS = 64  # of an answer
STREAMS = 4
LONG = 16  # times the question, for a prompt of a few hundred tokens
QUESTION = "My card was declined in a shop yesterday although there is enough money in my account. What can I do? "
AT_LEAST_OF_GRAPH = 0.85
AT_LEAST_TOGETHER = 2.5


def measure(repeat: int) -> list[Row]:
    """Measures first tokens, one stream next to the bare graph, and four streams next to one."""
    name, folder = find_model()
    graph = BareGraph(folder)
    with process.running(_command(name, folder, port := process.free_port())) as started:
        url = f"http://127.0.0.1:{port}"
        _wait(started, url, name)
        server = Server(url, name)
        first = [server.ask().first_s * 1e3 for _ in range(repeat)]
        long = [server.ask(QUESTION * LONG + str(number)).first_s * 1e3 for number in range(repeat)]
        others = [_first_among_others(server) for _ in range(repeat)]
        alone = in_turns(repeat, lambda: server.ask().rate, graph.rate)
        together = in_turns(repeat, lambda: server.rate_together(STREAMS), lambda: server.ask().rate)
    return [
        Row(f"chat with {name}, time to the first token", "ms", first),
        Row("the same, a prompt of a few hundred tokens", "ms", long),
        Row(f"the same, beside {STREAMS - 1} other streams", "ms", others),
        Row("tokens/s of one stream, against the bare graph", "tokens/s", *alone, at_least=AT_LEAST_OF_GRAPH),
        Row(f"tokens/s of {STREAMS} streams, against one", "tokens/s", *together, at_least=AT_LEAST_TOGETHER),
    ]


def find_model() -> tuple[str, Path]:
    """Name and folder of the workspace's first live language model.

    Raises:
        SkippedError: There is none.
    """
    workspace = settings.from_environment(None).workspace
    for name in champions.recipe_names(workspace):
        live = champions.read_champion(workspace, name)
        folder = workspace.model(name, live.version) if live else None
        if folder and (folder / "assets.extra" / "language_model.json").is_file():
            return name, folder
    raise SkippedError(f"no language model is live in {workspace}; publish one first")


def _command(name: str, folder: Path, port: int) -> list[str]:
    flags = (f"--rest_api_port={port}", f"--port={process.free_port()}", f"--model_name={name}")
    return [sys.executable, "-m", "serving", *flags, f"--model_base_path={folder.parent}"]


def _wait(started: object, url: str, name: str) -> None:
    """Waits until the server answers."""
    say(f"{name} is loaded")
    while True:
        try:
            httpx.get(f"{url}/healthz").raise_for_status()
        except httpx.HTTPError:
            if started.poll() is not None:  # type: ignore[attr-defined]  # a process
                raise RuntimeError("The server has ended") from None
            time.sleep(0.2)
        else:
            return


@dataclass(frozen=True)
class Answer:
    """How an answer came.

    Attributes:
        first_s: Seconds to its first token.
        last_s: Seconds to its last one.
        tokens: How many there were.
    """

    first_s: float
    last_s: float
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens per second, behind the first one."""
        return (self.tokens - 1) / (self.last_s - self.first_s)


@dataclass(frozen=True)
class Server:
    """A server that is asked for streams.

    Attributes:
        url: REST.
        model: Its name.
    """

    url: str
    model: str

    def ask(self, question: str = QUESTION, tokens: int = TOKENS) -> Answer:
        """Streams one answer; the tokens that would end it are forbidden."""
        began, times, count = time.perf_counter(), [], 0
        with httpx.stream(
            "POST", f"{self.url}/v1/chat/completions", json=self._body(question, tokens), timeout=600
        ) as lines:
            for line in lines.iter_lines():
                if line.startswith("data: {"):
                    event = json.loads(line[6:])
                    times.append(time.perf_counter() - began)
                    count = event["usage"]["completion_tokens"] if event.get("usage") else count
        return Answer(times[0], times[-1], count)

    def _body(self, question: str, tokens: int) -> dict[str, object]:
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": tokens,
            "seed": 1,
            "stream": True,
            "stream_options": {"include_usage": True},
            "logit_bias": {"0": -100, "2": -100},
        }

    def rate_together(self, count: int) -> float:
        """Tokens per second of several streams, from when all have their first one."""
        answers: list[Answer] = []
        ask = lambda number: answers.append(self.ask(f"{QUESTION}{number}"))  # noqa: E731
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(answer.rate for answer in answers)


def _first_among_others(server: Server) -> float:
    """Milliseconds to the first token while others are answered."""
    others = [threading.Thread(target=server.ask, args=(f"{QUESTION}{number}",)) for number in range(STREAMS - 1)]
    for thread in others:
        thread.start()
    time.sleep(1.0)
    first = server.ask(tokens=8).first_s * 1e3
    for thread in others:
        thread.join()
    return first


class BareGraph:
    """A model's `decode` in a loop."""

    def __init__(self, folder: Path) -> None:
        from serving.core.model import LoadedModel
        from serving.generation.language_model import LanguageCalls

        self._calls = LanguageCalls(LoadedModel(folder))
        self._calls.warm_up()

    def rate(self) -> float:
        """Tokens per second of one conversation behind the question."""
        calls, slots = self._calls, self._calls.about.slots
        [prompt] = calls.tokenize([QUESTION])
        token = int(calls.prefill(prompt, 0, 0).argmax())
        tokens, positions, active = np.zeros(slots, np.int32), np.zeros(slots, np.int32), np.arange(slots) == 0
        began = time.perf_counter()
        for place in range(len(prompt), len(prompt) + TOKENS - 1):
            tokens[0], positions[0] = token, place
            token = int(calls.decode(tokens, positions, active)[0].argmax())
        return (TOKENS - 1) / (time.perf_counter() - began)
