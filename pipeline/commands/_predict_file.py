"""`keraspipe predict NAME --file IN --out OUT`: predictions for a whole file or folder."""

from __future__ import annotations

import functools
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipeline.commands import _csv_options
from pipeline.errors import PipelineError, UsageError
from pipeline.export.columns import FORECAST_SIGNATURE

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from pipeline.batch_inference.columns import InputColumns
    from pipeline.batch_inference.job import Job, Outcome
    from pipeline.console import Terminal
    from pipeline.tables.dialect import Dialect


REPORT_INTERVAL_S = 5.0
MOST_NAMES = 10
DEFAULT_SIGNATURE = "serving_default"


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--file", metavar="IN", help="predict for every row of a table, or every file of a folder")
    parser.add_argument("--out", metavar="OUT", help="file for the predictions: .csv, .tsv, .jsonl or .parquet")
    _csv_options.arguments(parser)


def require_both(options: Namespace) -> None:
    """Raises a UsageError unless there are --file and --out, and no INPUT."""
    if not (options.file and options.out) or options.inputs:
        raise UsageError(
            "Batch prediction needs both --file and --out, and no INPUT.",
            expected=f"keraspipe predict {options.name} --file IN --out OUT",
            received=f"--file {options.file} --out {options.out} {' '.join(options.inputs)}".strip(),
            action="name both files, and leave the inputs out",
        )


def predict_file(options: Namespace, source: Source, terminal: Terminal) -> int:
    """Predicts all rows, or forecasts from them, and prints the result."""
    from pipeline.batch_inference import forecast, job

    began = time.monotonic()
    layout = forecast.read_layout(source.folder) if source.folder else None
    request = _make_job(options, source, terminal)
    if layout and options.signature in (DEFAULT_SIGNATURE, FORECAST_SIGNATURE):
        ask = functools.partial(source.predict, FORECAST_SIGNATURE)
        outcome = forecast.run(request.path, request.out, layout, ask, request.dialect)
    else:
        outcome = job.run(request, Progress(terminal.err))
    seconds = time.monotonic() - began
    summary = json.dumps({**asdict(outcome), "seconds": seconds}) if options.json else format_outcome(outcome, seconds)
    print(summary, file=terminal.out, flush=True)
    if outcome.bad == outcome.rows:
        raise PipelineError(
            "No row has a prediction.",
            expected=f"rows with {', '.join(source.signatures[options.signature].inputs)}",
            received=f"{outcome.rows} rows without one; the reasons are in {outcome.reasons}",
            action="read the reasons in the list of bad rows, and correct the file or its columns",
        )
    return 0


def _make_job(options: Namespace, source: Source, terminal: Terminal) -> Job:
    from pipeline.batch_inference import columns, job

    if options.signature not in source.signatures:
        raise UsageError(
            f"{options.name} has no signature {options.signature!r}.",
            expected=f"one of {', '.join(source.signatures)}",
            received=options.signature,
            action="leave --signature out, or name one of these",
        )
    path, out = (Path(name).expanduser().absolute() for name in (options.file, options.out))
    job.require_other_file(path, out)
    signature = source.signatures[options.signature]
    labels = source.signatures.get("transform_labels")
    target = next(iter(labels.outputs), "") if labels else ""
    trained = columns.read_input_columns(signature.inputs, source.folder, target)
    return job.Job(
        path,
        out,
        signature,
        lambda inputs: source.predict(options.signature, inputs),
        source.identity,
        trained,
        _read_dialect(options, path, trained, terminal),
    )


def _read_dialect(options: Namespace, path: Path, trained: InputColumns, terminal: Terminal) -> Dialect:
    """Returns what the options say of a file, and else how the file was written that was trained on; says so."""
    from pipeline.batch_inference import columns, trained_form

    said = _csv_options.read_dialect(options)
    dialect = columns.use_trained_encoding(path, said, trained)
    if dialect != said:
        words = f"{path.name} is read in {dialect.encoding}, as the file that was trained on; --encoding names another."
        print(words, file=terminal.err, flush=True)
    dialect, words = trained_form.use_trained_form(path, dialect, trained)
    if words:
        print(words, file=terminal.err, flush=True)
    return dialect


class Progress:
    """Prints the progress of a job, at most every few seconds.

    Args:
        stream: Where to print.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_report = time.monotonic()

    def __call__(self, rows: int) -> None:
        """Reports the number of rows that are done."""
        if time.monotonic() - self._last_report >= REPORT_INTERVAL_S:
            self._last_report = time.monotonic()
            print(f"{rows:,} rows", file=self._stream, flush=True)


def format_outcome(outcome: Outcome, seconds: float) -> str:
    """Formats the result for the terminal."""
    new_rows = outcome.rows - outcome.resumed
    lines = [f"{outcome.rows:,} rows in {seconds:.1f} s ({new_rows / max(seconds, 1e-9):,.0f}/s): {outcome.out}"]
    if outcome.pictures:
        lines.append(f"Pictures: in {outcome.pictures}")
    if outcome.resumed:
        lines.append(f"{outcome.resumed:,} of them were already done by the interrupted job.")
    if outcome.unused:
        lines.append(f"Columns that the model does not use: {_list_columns(outcome.unused)}.")
    if outcome.lacking:
        lines.append(f"In no row, so missing to the model: {_list_columns(outcome.lacking)}.")
    if outcome.reasons:
        lines.append(f"Rows without a prediction: {outcome.bad:,}; the reasons are in {outcome.reasons}")
    return "\n".join(lines)


def _list_columns(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(name or "(no name)" for name in names[:MOST_NAMES]) + more


@dataclass(frozen=True)
class Source:
    """A model that can be called.

    Attributes:
        signatures: Its signatures by name.
        predict: (signature, inputs) -> arrays by output name.
        identity: Identity of the model, different for each version.
        folder: Folder of the version, if it is in this workspace.
    """

    signatures: Mapping[str, Any]
    predict: Callable[[str, Mapping[str, Any]], dict[str, np.ndarray]]
    identity: str = ""
    folder: Path | None = None
