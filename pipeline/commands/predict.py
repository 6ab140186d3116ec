"""`keraspipe predict`: predictions of a published model, in this process, over REST or over gRPC."""

from __future__ import annotations

import base64
import json
import math
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import console
from pipeline.commands import _pictures, _predict_file, _published
from pipeline.commands._assignments import is_assignment, plain_text, require_date, require_values, suggest_names
from pipeline.commands._common import add_json
from pipeline.errors import PipelineError, UsageError
from pipeline.store import champions, fileio
from serving.errors import ServingError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np

    from pipeline.batch_inference.columns import InputColumns
    from pipeline.console import Terminal
    from pipeline.settings import Settings

from pipeline.commands._predict_file import Source


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    add_inputs(parser)
    _predict_file.arguments(parser)
    parser.add_argument("--signature", default="serving_default", help="signature of the model (default: %(default)s)")
    add_json(parser)


def add_inputs(parser: ArgumentParser) -> None:
    """Adds the options for model, inputs and server."""
    parser.add_argument(
        "name", metavar="NAME[@VERSION]", help="a published model; NAME alone is the champion, the version that is live"
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="a file or a value; NAME=VALUE if the model has several inputs"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", help="predict on a server over REST, such as http://127.0.0.1:8501")
    where.add_argument("--grpc", metavar="HOST:PORT", help="predict on a server over gRPC")


def command(options: Namespace, settings: Settings) -> int:
    """Predicts and prints one line per input, or one JSON object; or predicts a whole file."""
    if options.file or options.out:
        _predict_file.require_both(options)
        with _open_model(options, settings) as (source, terminal):
            return _predict_file.predict_file(options, source, terminal)
    (answer,) = ask_model(options, settings, [options.signature])
    predictions = to_rows(answer)
    if options.json:
        print(json.dumps({"predictions": predictions}))
    elif predictions:
        pictures = _pictures.write_pictures(options.name, options.inputs, answer, Path.cwd())
        labels = row_labels(options.inputs, len(predictions))
        for label, row, files in zip(labels, predictions, pictures, strict=True):
            print(f"{label}  {'  '.join(f'{name} {value}' for name, value in describe_row(row, files).items())}")
    return 0


def ask_model(options: Namespace, settings: Settings, signatures: Sequence[str]) -> list[dict[str, np.ndarray]]:
    """Returns the model's predictions for each signature on the same inputs: arrays by output name."""
    with _open_model(options, settings) as (source, _):
        return [source.predict(signature, _parse_inputs(options, signature, source)) for signature in signatures]


@contextmanager
def _open_model(options: Namespace, settings: Settings) -> Iterator[tuple[Source, Terminal]]:
    """Opens the model; turns its errors into messages for the user."""
    try:
        with console.redirect_output(Path(os.devnull)) as terminal, _connect(options, settings) as source:
            yield source, terminal
    except ServingError as error:
        if "\nNext: " in error.message:  # the client's own, such as that of a server that is not there
            raise PipelineError(error.message) from error
        raise PipelineError(
            f"{options.name} did not answer.",
            expected="an answer",
            received=error.short_message,
            action="correct the inputs, or read the server's log",
        ) from error


@contextmanager
def _connect(options: Namespace, settings: Settings) -> Iterator[Source]:
    if options.url or options.grpc:
        from serving.client.client import Client

        with Client(options.url or options.grpc) as client:
            name, number = _published.split_version(options.name)
            known = client.metadata(name, version=number)
            versions = [item.version for item in client.status(name, version=number)]
            identity = f"{options.url or options.grpc} {name}@{versions}"
            yield Source(
                known,
                lambda item, inputs: client.predict(name, inputs, signature=item, version=number),
                identity,
                _local_folder(settings, name, number),
            )
    else:
        yield _load_published(options, settings)


def _local_folder(settings: Settings, name: str, number: int | None) -> Path | None:
    """Returns the folder of the version that a server answers with, if it is in this workspace, too."""
    live = champions.read_champion(settings.workspace, name) if number is None else None
    version = number or (live.version if live else None)
    folder = settings.workspace.model(name, version) if version else None
    return folder if folder and folder.is_dir() else None


def _load_published(options: Namespace, settings: Settings) -> Source:
    folder, digest = _published.find_published(options.name, settings)
    return _load_model(folder, digest or fileio.digest_folder(folder))


def _load_model(folder: Path, digest: str) -> Source:
    from serving.core.model import LoadedModel

    model = LoadedModel(folder)
    return Source(model.signatures, model.predict, digest, folder)


def _parse_inputs(options: Namespace, signature: str, source: Source) -> dict[str, list[Any]]:
    """Returns the values by input; a name may be that of the column in the file that was trained on."""
    from pipeline.batch_inference.columns import read_input_columns

    signatures = source.signatures
    if signature not in signatures:
        raise UsageError(
            f"{options.name} has no signature {signature!r}.",
            expected=f"one of {', '.join(signatures)}",
            received=signature,
            action="leave --signature out, or name one of these",
        )
    declared = signatures[signature].inputs
    names = list(declared)
    if not options.inputs:
        raise UsageError(
            f"{options.name} got no input.",
            expected=f"INPUT for {', '.join(names)}",
            received="nothing",
            action="give the inputs, or a file of rows with --file and --out",
        )
    columns = read_input_columns(declared, source.folder)
    keys = list(dict.fromkeys(text.partition("=")[0] for text in options.inputs))
    called = {column: name for name, column in columns.sources([*keys, *names]).items()} | {
        name: name for name in names
    }
    if len(names) == 1 and not any(is_assignment(text, called) for text in options.inputs):
        require_values(options.inputs, columns)
        return {names[0]: [_parse_cell(text, names[0], declared, columns) for text in options.inputs]}
    values = {called[key]: text for key, _, text in (text.partition("=") for text in options.inputs) if key in called}
    lost = [name for name in names if name not in values and name not in columns.optional]
    if lost or any(key not in called for key in keys) or len(values) < len(options.inputs):
        raise UsageError(
            f"The inputs do not fit {options.name}.",
            expected=" ".join(f"{name}=VALUE" for name in names),
            received=" ".join(options.inputs),
            action=suggest_names(options.inputs, columns)
            or "name each input once; for the rows of a table: --file IN --out OUT",
        )
    return {name: [_parse_cell(values.get(name, ""), name, declared, columns)] for name in names}


def _parse_cell(text: str, name: str, declared: Mapping[str, Any], columns: InputColumns) -> Any:
    """A value; of what may be missing also none: it is left out, empty, or a text that means so in training."""
    missing = name in columns.optional and columns.is_missing(text, columns.kinds[name])
    return _missing(declared[name]) if missing else _parse_value(text, name, declared, columns)


def _missing(info: Any) -> Any:
    return "" if info.dtype.name == "string" else math.nan


def _parse_value(text: str, name: str, declared: Mapping[str, Any], columns: InputColumns) -> Any:
    """A file's content for an input of bytes, text for one of text, else numbers: as they stand, or in a JSON file."""
    if name.endswith("_bytes"):
        path = Path(text)
        if not path.is_file():
            raise UsageError(
                f"There is no file {text}.",
                expected=f"a file for {name}",
                received=text,
                action="correct the path; it is relative to the current folder",
            )
        return path.read_bytes()
    if declared[name].dtype.name == "string":
        require_date(text, name, columns)
        return text
    shape = declared[name].shape  # None where the signature takes any
    return _parse_numbers(plain_text(text, name, columns), name, None if shape is None else tuple(shape)[1:])


def _parse_numbers(text: str, name: str, shape: tuple[int, ...] | None) -> Any:
    import numpy as np

    wanted = f"[NUMBER,…] of shape {' x '.join(map(str, shape))}, or a .json file with it" if shape else "NUMBER"
    try:
        value = json.loads(Path(text).read_text(encoding="utf-8") if text.endswith(".json") else text)
        fits = shape is None or all(size in {-1, actual} for size, actual in zip(shape, np.shape(value), strict=True))
    except (OSError, ValueError):
        fits = False
    if not fits:
        raise UsageError(
            f"The value of {name} has the wrong type or shape.",
            expected=f"{name}={wanted}",
            received=text[:80],
            action="correct the value",
        )
    return value


def to_rows(answer: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Converts predictions to rows of JSON values."""
    count = min((len(values) for values in answer.values()), default=0)
    return [{name: to_json_value(values[i], name) for name, values in answer.items()} for i in range(count)]


def describe_row(row: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, str]:
    """Describes the outputs of a row for the terminal.

    Args:
        row: JSON values by output.
        files: The pictures that were written, by output.
    """
    count = int(row.get(_pictures.COUNT, 0)) if {_pictures.BOXES, _pictures.COUNT} <= row.keys() else None
    shown = {name: value[:count] if isinstance(value, list) else value for name, value in row.items()}
    words = {name: format_value(value) for name, value in shown.items()}
    words |= {name: f"{len(base64.b64decode(value['b64'])):,} bytes" for name, value in row.items() if is_coded(value)}
    return words | {
        (name if name in words and name != _pictures.BOXES else "picture"): f"in {path.name}"
        for name, path in files.items()
    }


def is_coded(value: Any) -> bool:
    """Returns whether a JSON value is encoded binary."""
    return isinstance(value, dict) and value.keys() == {"b64"}


def row_labels(inputs: list[str], count: int) -> list[str]:
    """Returns a label for each row: its input, if each row has one."""
    return inputs if len(inputs) == count else [f"row {i}" for i in range(count)]


def to_json_value(value: Any, name: str = "") -> Any:
    """Converts a value to JSON; encoded binary as TensorFlow Serving's REST API does, {"b64": …}."""
    if isinstance(value, bytes):
        if name.endswith("_bytes"):
            return {"b64": base64.b64encode(value).decode()}
        return value.decode(errors="replace")
    value = value.tolist() if hasattr(value, "tolist") else value
    return [to_json_value(item, name) for item in value] if isinstance(value, list) else value


def format_value(value: Any) -> str:
    """Formats a value for the terminal."""
    if isinstance(value, list):
        return "[" + " ".join(format_value(item) for item in value) + "]"
    return console.format_number(value) if isinstance(value, float) else str(value)
