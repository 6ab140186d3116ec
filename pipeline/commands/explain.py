"""`keraspipe explain`: which pixels, words or columns made a published model answer as it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands import predict
from pipeline.commands._common import add_json
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.reports.explanation import ExplainedRow
    from pipeline.settings import Settings

SIGNATURES = ("explain", "transform_features")  # the second returns the network's input, for the picture


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    predict.add_inputs(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the picture (default: NAME.explained.png in the folder of the input)"
    )
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Prints what each word or column added to the score, or draws what each pixel did; or prints one JSON object."""
    if options.out and not options.out.parent.is_dir():
        raise UsageError(
            "The picture cannot be written.",
            expected="--out in a folder that exists",
            received=str(options.out),
            action="make the folder, or name another file with --out",
        )
    answer, features = predict.ask_model(options, settings, SIGNATURES)
    if options.json:
        print(json.dumps({"explanations": predict.to_rows(answer)}))
        return 0
    from rich.console import Console

    from pipeline.reports import explanation

    console, explanations = Console(highlight=False), explanation.read_rows(answer, features)
    labels = predict.row_labels(options.inputs, len(explanations))
    for place, (label, row) in enumerate(zip(labels, explanations, strict=True)):
        explanation.print_row(console, label, row)
        if _has_picture(row):
            console.print(f"Drawn: {_draw(options, label, row, place)}", soft_wrap=True, markup=False)
    return 0


def _has_picture(row: ExplainedRow) -> bool:
    return not row.names and any(part.ndim for part in row.parts.values())


def _draw(options: Namespace, label: str, row: ExplainedRow, place: int) -> Path:
    from pipeline.reports import explanation

    path = _path(options, label, place)
    explanation.write_picture(row, path)
    return path


def _path(options: Namespace, label: str, place: int) -> Path:
    """Returns the path of a row's picture."""
    if options.out:
        return options.out if place == 0 else options.out.with_stem(f"{options.out.stem}-{place + 1}")
    for source in (Path(label), Path(label.partition("=")[2])):  # a file's name may contain =
        if source.is_file():
            return source.with_suffix(".explained.png")
    return Path(f"{options.name}-{place + 1}.explained.png")
