"""Answers for the rows of a DataFrame: those of `keraspipe predict NAME --file`, without the files."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import settings
from pipeline.batch_inference import forecast, job
from pipeline.batch_inference.columns import read_input_columns
from pipeline.errors import PipelineError
from pipeline.export.columns import FORECAST_SIGNATURE
from pipeline.store import champions
from serving.core.predict import DEFAULT_SIGNATURE

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.batch_inference.job import Outcome
    from pipeline.store.layout import Workspace
    from serving.core.model import LoadedModel

_MOST_REASONS = 5


def predict_frame(
    name: str, frame: pd.DataFrame, workspace: Path | str | None = None, *, version: int | None = None
) -> pd.DataFrame:
    """Predicts every row, or forecasts the next steps from a history as rows.

    Args:
        name: Of a published model.
        frame: Columns as in the table that was trained on, or with the names of the recipe's inputs.
        workspace: Folder of the workspace; None for KERASPIPE_WORKSPACE, or ./workspace, as of the command line.
        version: Its number; None for the champion, which is live.

    Returns:
        The rows with the columns `predicted_TARGET` and `probability_CLASS`; of a forecast, the next steps with their
        times.

    Raises:
        PipelineError: There is no such version, a column is missing, or a row cannot be read.
    """
    from serving.core.model import LoadedModel  # imports TensorFlow

    home = settings.from_environment(None if workspace is None else str(workspace)).workspace
    folder = _find_version(home, name, version)
    with tempfile.TemporaryDirectory() as temporary:
        path, out = Path(temporary, "frame.parquet"), Path(temporary, "answers.parquet")
        _write_frame(frame, path)
        try:
            outcome = _predict(LoadedModel(folder), folder, path, out)
        except PipelineError as error:
            raise PipelineError(str(error).replace(str(path), "the DataFrame")) from error
        if outcome.reasons:
            raise _describe_bad_rows(outcome)
        return _read_frame(out)


def _find_version(workspace: Workspace, name: str, number: int | None) -> Path:
    live = None if number else champions.read_champion(workspace, name)
    folder = workspace.model(name, number or (live.version if live else 0))
    if not folder.is_dir():
        raise PipelineError(
            f"There is no {f'version {number} of' if number else 'champion named'} {name!r} in {workspace.root}.",
            expected=f"one of {', '.join(champions.recipe_names(workspace)) or 'none: nothing is published'}",
            received=f"{name}@{number}" if number else name,
            action=f"run: keraspipe run {name}",
        )
    return folder


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    import pyarrow as pa

    try:
        frame.to_parquet(path, index=False)
    except (pa.ArrowException, ValueError) as error:
        raise PipelineError(
            "The DataFrame cannot be read.",
            expected="named columns of one type each",
            received=str(error)[:300],
            action="convert the column, as in frame.astype({'column': str})",
        ) from error


def _predict(model: LoadedModel, folder: Path, path: Path, out: Path) -> Outcome:
    layout = forecast.read_layout(folder)
    if layout:
        return forecast.run(path, out, layout, partial(model.predict, FORECAST_SIGNATURE))
    signature = model.signatures[DEFAULT_SIGNATURE]
    labels = model.signatures.get("transform_labels")
    columns = read_input_columns(signature.inputs, folder, next(iter(labels.outputs), "") if labels else "")
    request = job.Job(path, out, signature, partial(model.predict, DEFAULT_SIGNATURE), str(folder), columns)
    return job.run(request, lambda _: None)


def _describe_bad_rows(outcome: Outcome) -> PipelineError:
    lines = Path(outcome.reasons or "").read_text().splitlines()
    entries = [json.loads(line) for line in lines[:_MOST_REASONS]]
    more = [f"and {len(lines) - len(entries)} more"] if len(lines) > len(entries) else []
    return PipelineError(
        f"{outcome.bad} of {outcome.rows} rows cannot be read.",
        expected="values of the columns' types",
        received="; ".join([*(f"row {entry['row']}: {entry['reason']}" for entry in entries), *more]),
        action="correct these rows, or leave them out",
    )


def _read_frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path)
