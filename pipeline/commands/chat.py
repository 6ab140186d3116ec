"""`keraspipe chat`: a conversation with a published language model, in this process or over a server."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import console
from pipeline.commands import _published
from pipeline.commands._chat_source import LocalSource, ServerSource
from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.commands._chat_source import ChatSource
    from pipeline.settings import Settings

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what a terminal might take for a command
_HELP = "/exit ends the chat, /reset begins a new one; Ctrl-C ends an answer, Ctrl-D the chat"


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME[@VERSION]", help="a published language model")
    parser.add_argument(
        "--server",
        metavar="URL",
        help="ask a server, such as http://127.0.0.1:8501 (its token: KERASPIPE_SERVING_TOKEN)",
    )
    parser.add_argument("--system", metavar="TEXT", help="what the model is told about its part first")
    parser.add_argument(
        "--max-tokens", type=int, metavar="N", help="tokens of an answer at most (default: as many as fit)"
    )
    parser.add_argument("--temperature", type=float, metavar="T", help="0 for the likeliest answer (default: 1)")
    parser.add_argument(
        "--top-p", type=float, metavar="P", help="draw from the likeliest tokens of this share (default: 1)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="makes the answers the same each time")


def command(options: Namespace, settings: Settings) -> int:
    """Reads messages line by line and prints the answers as they come."""
    source = _open_source(options, settings)
    talk = Conversation(options, source)
    if sys.stdin.isatty():
        print(_HELP, file=sys.stderr)
    while (line := _read_line()) is not None:
        text = line.strip()
        if text in {"/exit", "/quit"}:
            break
        if text == "/reset":
            talk.reset()
        elif text.startswith("/"):
            print(_HELP, file=sys.stderr)
        elif text:
            talk.say(text)
    return int(talk.has_failed)


def _open_source(options: Namespace, settings: Settings) -> ChatSource:
    if not options.server:
        folder, _ = _published.find_published(options.name, settings)
        with console.redirect_output(Path(os.devnull)):  # TensorFlow's notes
            return LocalSource(folder, options.name)
    from serving.client.endpoint import parse_endpoint
    from serving.config.security_flags import read_environment
    from serving.errors import ServingError

    try:
        endpoint = parse_endpoint(options.server, read_environment().token or None)
    except ServingError as error:
        raise UsageError(error.message) from error
    if not endpoint.rest:
        raise UsageError(
            "--server is no address of a REST API.",
            expected="http://HOST:PORT or https://HOST:PORT",
            received=options.server,
            action="name the REST port of `keraspipe serve`, 8501 by default",
        )
    return ServerSource(endpoint)


def _read_line() -> str | None:
    """The next line of the user; None at the end. From a pipe it is printed, so that the output reads as a talk."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        if line.strip():
            print(f"you> {line.strip()}", flush=True)
        return line or None
    while True:
        try:
            return input("you> ")
        except KeyboardInterrupt:
            print(f"\n{_HELP}", file=sys.stderr)
        except EOFError:
            print()
            return None


class Conversation:
    """Messages so far.

    Args:
        options: The command's.
        source: Answers.

    Attributes:
        has_failed: Whether a message got no answer, and nobody sits there to see it.
    """

    def __init__(self, options: Namespace, source: ChatSource) -> None:
        self._options, self._source = options, source
        self.has_failed = False
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        system = self._options.system
        self._messages: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []

    def say(self, text: str) -> None:
        """Send a message and print its answer; Ctrl-C ends the answer, what came of it stays a part of the talk."""
        self._messages.append({"role": "user", "content": text})
        try:
            answer = self._print_answer()
        except PipelineError as error:
            print(f"\n{error}", file=sys.stderr)
            self.has_failed = self.has_failed or not sys.stdin.isatty()
            self._messages.pop()
            return
        self._messages.append({"role": "assistant", "content": answer})

    def _print_answer(self) -> str:
        print(f"{self._options.name}> ", end="", flush=True)
        pieces, began = [], time.monotonic()
        answer = self._source.answer(self._content())
        try:
            for piece in answer:
                pieces.append(piece)
                print(_CONTROL.sub("", piece), end="", flush=True)
        except KeyboardInterrupt:
            print(" …", end="")
        finally:
            answer.close()  # type: ignore[attr-defined]  # a generator
        print(flush=True)
        if sys.stderr.isatty():
            words, seconds = len("".join(pieces).split()), time.monotonic() - began
            print(f"({words} words in {seconds:.1f} s)", file=sys.stderr)
        return "".join(pieces)

    def _content(self) -> dict[str, Any]:
        options = self._options
        values = {name: getattr(options, name) for name in ("max_tokens", "temperature", "top_p", "seed")}
        chosen = {name: value for name, value in values.items() if value is not None}
        return {"model": options.name, "messages": self._messages, "truncation": "auto", **chosen}
