"""Resolve: finds the champion (the live model), the baseline that the candidate is compared with.

TFX's LatestBlessedModelStrategy takes the blessed model with the highest id; after a rollback that is not the champion.
"""

import shutil
from pathlib import Path

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model
from tfx.utils.path_utils import serving_model_dir

from pipeline.evaluation.blessing import CHAMPION_DIGEST, CHAMPION_VERSION
from pipeline.store import champions
from pipeline.store.layout import Workspace


def resolve(workspace: Workspace, name: str, folder: Path) -> champions.ModelVersion | None:
    """Copies the champion of a recipe into `folder` for TFMA and returns it; None without one."""
    live = champions.read_champion(workspace, name)
    if live is not None:
        source = workspace.model(name, live.version)
        shutil.copytree(source, serving_model_dir(str(folder)))
    return live


@component
def Resolve(  # noqa: N802
    model: OutputArtifact[Model],
    workspace: Parameter[str],
    name: Parameter[str],
    live: Parameter[str],  # noqa: ARG001  (digest of the champion, for TFX's cache)
) -> None:
    """Writes the champion of a recipe, or an empty artifact."""
    current = resolve(Workspace(Path(workspace)), name, Path(model.uri))
    model.set_string_custom_property(CHAMPION_DIGEST, current.digest if current else "")
    model.set_int_custom_property(CHAMPION_VERSION, current.version if current else 0)
