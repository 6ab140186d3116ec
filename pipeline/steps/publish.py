"""Publish: copies a blessed SavedModel, one that passed the gate, to a new version and gives it an alias.

The alias is champion (live), challenger, or quick (made by a --quick run, not served). TFX's Pusher copies directly to
the destination, where a server would see a half-written version, and uses the time in seconds as version, so that two
pushes within a second collide.
"""

import shutil
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model, ModelBlessing, PushedModel
from tfx.utils.path_utils import serving_model_dir

from pipeline.evaluation.blessing import CHAMPION_DIGEST, require_blessing
from pipeline.registry import serving_config
from pipeline.runs import environment
from pipeline.runs.versions import published_numbers
from pipeline.store import champions, fileio, journal
from pipeline.store.champions import ModelVersion
from pipeline.store.fileio import lock
from pipeline.store.layout import Workspace


class ChampionChangedError(Exception):
    """Another run has published meanwhile: the candidate must be evaluated again, against the new champion."""


def publish(
    model: Path, workspace: Workspace, name: str, run_id: str, judged_against: str, alias: str = "champion"
) -> int:
    """Publishes a SavedModel and returns its version.

    Args:
        model: The SavedModel.
        workspace: The workspace.
        name: The recipe.
        run_id: The run that made the model.
        judged_against: Digest of the champion in the evaluation; empty if there was none.
        alias: "champion", or "challenger" or "quick" to leave the champion as it is.

    Raises:
        ChampionChangedError: Another model is the champion now.
    """
    digest = fileio.digest_folder(model)
    with lock(workspace.publish_lock(name)):
        live = champions.read_champion(workspace, name)
        if alias != "quick" and (live.digest if live else "") != judged_against:
            raise ChampionChangedError
        version = _copy_model(model, workspace, name, digest)
        champions.set_alias(workspace, name, alias, ModelVersion(version, digest, run_id))
    parent = f"{name}@{live.version}" if live else ""
    # First the event: the next command repairs the configuration, but nobody would know the version's origin.
    journal.report("publish", version=version, digest=digest, alias=alias, parent=parent, commit=_commit())
    serving_config.write_config(workspace)
    return version


def _commit() -> str:
    """Returns the project's commit, with a mark if files have changed since; empty without a git checkout."""
    state = environment.git_state()
    return state.get("commit", "") + "-dirty" * state.get("dirty", False)


def _copy_model(model: Path, workspace: Workspace, name: str, digest: str) -> int:
    versions = champions.versions(workspace, name)
    # A kill between the rename and the record leaves a version without a record: reuse it.
    if versions and fileio.digest_folder(workspace.model(name, versions[-1])) == digest:
        return versions[-1]
    version = max([0, *versions, *published_numbers(workspace, name)]) + 1  # never one that a removed model had
    with fileio.create_folder(workspace.model(name, version)) as temporary:
        shutil.copytree(model, temporary, dirs_exist_ok=True)
    return version


@component
def Publish(  # noqa: N802
    model: InputArtifact[Model],
    baseline: InputArtifact[Model],
    blessing: InputArtifact[ModelBlessing],
    pushed: OutputArtifact[PushedModel],
    workspace: Parameter[str],
    name: Parameter[str],
    run_id: Parameter[str],
    alias: Parameter[str],
) -> None:
    """Publishes the candidate if it is blessed and the baseline is still the champion."""
    require_blessing(blessing)
    judged_against = baseline.get_string_custom_property(CHAMPION_DIGEST)
    source = Path(serving_model_dir(model.uri))
    version = publish(source, Workspace(Path(workspace)), name, run_id, judged_against, alias)
    pushed.set_int_custom_property("version", version)
