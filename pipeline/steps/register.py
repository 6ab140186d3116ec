"""Register: has a blessed SavedModel registered in MLflow's model registry, by an event in the journal."""

from pathlib import Path
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model, ModelBlessing, ModelRun, String
from tfx.utils.path_utils import serving_model_dir

from pipeline.evaluation.blessing import require_blessing
from pipeline.store import fileio, journal
from pipeline.store.layout import Workspace
from pipeline.training.files import MODEL


def register(model: Path, workspace: Workspace, signatures: dict[str, Any]) -> str:
    """Writes the event by which the recorder registers a SavedModel; returns the model's digest."""
    digest = fileio.digest_folder(model)
    journal.report("register", model=workspace.relative(model), digest=digest, signatures=signatures)
    return digest


@component
def Register(  # noqa: N802
    model: InputArtifact[Model],
    blessing: InputArtifact[ModelBlessing],
    model_run: InputArtifact[ModelRun],
    registration: OutputArtifact[String],
    workspace: Parameter[str],
) -> None:
    """Registers the candidate under its digest, if it is blessed."""
    require_blessing(blessing)
    registration.value = register(
        Path(serving_model_dir(model.uri)),
        Workspace(Path(workspace)),
        fileio.read_json(Path(model_run.uri) / MODEL)["signatures"],
    )
