"""`keraspipe predict`: asks a published model in this process, over REST or over gRPC, with the same numbers."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import console
from pipeline.commands import _predict_file
from pipeline.commands._common import add_json
from pipeline.errors import PipelineError, UsageError
from pipeline.recipes import catalog
from pipeline.runs import versions
from pipeline.store import champions, fileio
from serving.errors import ServingError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np

    from pipeline.console import Terminal
    from pipeline.settings import Settings

from pipeline.commands._predict_file import Source


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    add_question(parser)
    _predict_file.arguments(parser)
    parser.add_argument("--signature", default="serving_default")
    add_json(parser)


def add_question(parser: ArgumentParser) -> None:
    """Adds who is asked what, and where."""
    parser.add_argument("name", metavar="NAME[@VERSION]", help="without a version the champion")
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="a file, or a value")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", help="ask a server over REST, for instance http://127.0.0.1:8501")
    where.add_argument("--grpc", metavar="HOST:PORT", help="ask a server over gRPC")


def command(options: Namespace, settings: Settings) -> int:
    """Asks and prints one line per input, or one JSON object; or asks about a whole file."""
    if options.file or options.out:
        _predict_file.require_both(options)
        with _answering(options, settings) as (source, terminal):
            return _predict_file.ask(options, source, terminal)
    (answer,) = asked(options, settings, [options.signature])
    found = rows(answer)
    if options.json:
        print(json.dumps({"predictions": found}))
    else:
        for label, row in zip(labels(options.inputs, len(found)), found, strict=True):
            print(f"{label}  {'  '.join(f'{name} {shown(value)}' for name, value in row.items())}")
    return 0


def asked(options: Namespace, settings: Settings, signatures: Sequence[str]) -> list[dict[str, np.ndarray]]:
    """The model's answers to each signature on the same inputs: arrays by output name."""
    with _answering(options, settings) as (source, _):
        return [source.ask(one, _inputs(options, one, source.signatures)) for one in signatures]


@contextmanager
def _answering(options: Namespace, settings: Settings) -> Iterator[tuple[Source, Terminal]]:
    """The model; what it says against a question is an error for a person."""
    try:
        with console.redirect_output(Path(os.devnull)) as terminal, _source(options, settings) as source:
            yield source, terminal
    except ServingError as error:
        raise PipelineError(
            f"{options.name} did not answer.", expected="an answer", received=error.short_message
        ) from error


@contextmanager
def _source(options: Namespace, settings: Settings) -> Iterator[Source]:
    if options.url or options.grpc:
        from serving.client.client import Client

        with Client(options.url or options.grpc) as client:
            name, number = _asked_version(options.name)
            known = client.metadata(name, version=number)
            versions = [one.version for one in client.status(name, version=number)]
            identity = f"{options.url or options.grpc} {name}@{versions}"
            yield Source(
                known, lambda one, inputs: client.predict(name, inputs, signature=one, version=number), identity
            )
    else:
        yield _in_process(options, settings)


def _asked_version(text: str) -> tuple[str, int | None]:
    """The name and the version of `NAME@VERSION`; no version where there is none."""
    name, _, number = text.rpartition("@")
    return (name, int(number)) if name and number.isdecimal() else (text, None)


def _in_process(options: Namespace, settings: Settings) -> Source:
    if _asked_version(options.name)[1]:
        found = versions.find_version(settings.workspace, options.name)
        folder = settings.workspace.model(found.name, found.number)
        return _loaded(folder, fileio.digest_folder(folder))
    live = champions.read_champion(settings.workspace, options.name)
    if live is None:
        raise UsageError(
            f"No model {options.name!r} is published in {settings.workspace}.",
            expected="a published model",
            received=options.name,
            action=f"run: keraspipe run {catalog.find_recipe(options.name, settings).name}",
        )
    return _loaded(settings.workspace.model(options.name, live.version), live.digest)


def _loaded(folder: Path, digest: str) -> Source:
    from serving.core.model import LoadedModel

    model = LoadedModel(folder)
    return Source(model.signatures, model.predict, digest)


def _inputs(options: Namespace, signature: str, signatures: Mapping[str, Any]) -> dict[str, list[Any]]:
    if signature not in signatures:
        raise UsageError(
            f"{options.name} has no signature {signature!r}.",
            expected=f"one of {', '.join(signatures)}",
            received=signature,
        )
    declared = signatures[signature].inputs
    names = list(declared)
    if not options.inputs:
        raise UsageError(
            f"Nothing to ask {options.name}.", expected=f"INPUT for {', '.join(names)}", received="nothing"
        )
    if len(names) == 1 and not any(_is_assignment(text, names) for text in options.inputs):
        return {names[0]: [_value(text, names[0], declared) for text in options.inputs]}
    pairs = [text.partition("=") for text in options.inputs]
    unknown = [key for key, _, _ in pairs if key not in names] or [
        name for name in names if name not in dict.fromkeys(k for k, _, _ in pairs)
    ]
    if unknown:
        raise UsageError(
            f"The inputs do not fit {options.name}.",
            expected=" ".join(f"{name}=VALUE" for name in names),
            received=" ".join(options.inputs),
        )
    return {key: [_value(text, key, declared)] for key, _, text in pairs}


def _is_assignment(text: str, names: list[str]) -> bool:
    return text.partition("=")[0] in names and "=" in text


def _value(text: str, name: str, declared: Mapping[str, Any]) -> Any:
    """A file's content for an input of bytes, text for one of text, else numbers: as they stand, or in a JSON file."""
    if name.endswith("_bytes"):
        path = Path(text)
        if not path.is_file():
            raise UsageError(f"There is no file {text}.", expected=f"a file for {name}", received=text)
        return path.read_bytes()
    if declared[name].dtype.name == "string":
        return text
    shape = declared[name].shape  # None where the signature takes any
    return _numbers(text, name, None if shape is None else tuple(shape)[1:])


def _numbers(text: str, name: str, shape: tuple[int, ...] | None) -> Any:
    import numpy as np

    wanted = f"[NUMBER,…] of shape {' x '.join(map(str, shape))}, or a .json file with it" if shape else "NUMBER"
    try:
        value = json.loads(Path(text).read_text(encoding="utf-8") if text.endswith(".json") else text)
        fits = shape is None or all(size in {-1, found} for size, found in zip(shape, np.shape(value), strict=True))
    except (OSError, ValueError):
        fits = False
    if not fits:
        raise UsageError(f"The value of {name} is not of its kind.", expected=f"{name}={wanted}", received=text[:80])
    return value


def rows(answer: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """An answer row by row, as JSON knows it."""
    count = min((len(values) for values in answer.values()), default=0)
    return [{name: plain(values[i]) for name, values in answer.items()} for i in range(count)]


def labels(inputs: list[str], count: int) -> list[str]:
    """What each row of an answer is called: its input, where each has one."""
    return inputs if len(inputs) == count else [f"row {i}" for i in range(count)]


def plain(value: Any) -> Any:
    """A value of an answer as JSON knows it."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    value = value.tolist() if hasattr(value, "tolist") else value
    return [plain(item) for item in value] if isinstance(value, list) else value


def shown(value: Any) -> str:
    """A value for a person."""
    if isinstance(value, list):
        return "[" + " ".join(shown(item) for item in value) + "]"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
