"""The configuration of model servers: a folder of links to the live versions, and `models.config` for it.

TensorFlow Serving answers a request without a version from the highest one that it has loaded. So each alias is a
separate model, `NAME` and `NAME-challenger` (recipe names have no hyphen), with exactly one version: its base path
`serving/.live/NAME` contains one link, `2 -> ../../NAME/2`. The servers poll for versions every second; they load the
version of a new link first, and then replace the old one.

Why links, and not `model_version_policy { specific { … } }` over `serving/NAME`: TensorFlow Serving sets the labels
of a new list before it loads anything, and refuses the whole list, versions included, if a label moves to a version
that is not loaded (server_core.cc: ReloadConfig, UpdateModelVersionLabelMap;
--allow_version_labels_for_unavailable_models helps new labels only). A file that changes version and label at once is
always refused; to write it in two steps would require to know when each server has read the first. With links, the
version is loaded whether the list is accepted or not, and a refused list is read again at the next poll, when the
label's version is loaded. So the order of writes does not matter.

A folder of links is never removed: if a base path is missing, TensorFlow Serving stops polling all other models too.

`keraspipe serve` does not read `models.config`: `WorkspaceModels` reads the versions from the records.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.store import champions, fileio
from pipeline.store.fileio import lock

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.store.layout import Workspace
    from serving.options import ModelConfig


CONFIG_ENTRY = """\
  config {{
    name: "{name}"
    base_path: "{base_path}/{name}"
    model_platform: "tensorflow"
    version_labels {{ key: "{label}" value: {version} }}
  }}
"""


def serving_name(name: str, alias: str) -> str:
    """Returns the name of the model that servers use for an alias of a recipe."""
    return name if alias == "champion" else f"{name}-{alias}"


def render_config(aliases: dict[str, dict[str, int]], base: str) -> str:
    """Renders `models.config`.

    Args:
        aliases: Versions by recipe and alias.
        base: The folder of links.

    Source: tensorflow_serving/config/model_server_config.proto.
    """
    escaped = base.replace("\\", "\\\\").replace('"', '\\"')
    entries = "".join(
        CONFIG_ENTRY.format(name=serving_name(name, alias), base_path=escaped, label=alias, version=version)
        for name, versions in aliases.items()
        for alias, version in versions.items()
    )
    return f"model_config_list {{\n{entries}}}\n"


def write_config(workspace: Workspace) -> None:
    """Writes links and WORKSPACE/serving/models.config from the records; also repairs them after a kill.

    The workspace must have the same path on the server's machine.
    """
    with lock(workspace.models_config_lock):  # the records are read within the lock: the last writer has all changes
        aliases = {name: champions.current_entry(workspace, name).aliases for name in champions.recipe_names(workspace)}
        if not aliases and not workspace.models.exists():
            return  # nothing was ever published
        for name, versions in aliases.items():
            for alias in ("champion", "challenger"):
                _link(workspace, name, alias, versions.get(alias))
        _replace_text(workspace.models_config, render_config(aliases, str(workspace.live_links)))


def _link(workspace: Workspace, name: str, alias: str, version: int | None) -> None:
    folder = workspace.live_links / serving_name(name, alias)
    if version is not None:
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / str(version)
        if not link.is_symlink():
            _remove(link)
            link.symlink_to(f"../../{name}/{version}")
    for other in folder.glob("*"):
        if other.name != str(version):
            _remove(other)


def _remove(link: Path) -> None:
    """Removes a link; in a copy of the workspace by a program that follows links it is a folder."""
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    else:
        link.unlink(missing_ok=True)


def _replace_text(path: Path, content: str) -> None:
    if not path.exists() or path.read_text() != content:
        with fileio.replace_file(path) as temporary:
            temporary.write_text(content)


@dataclass(frozen=True)
class WorkspaceModels:
    """Lists the models to serve, each with one version and its alias as label, as `models.config` does.

    Reads the records, so that a change takes effect with its rename, even if links are not written yet.

    Args:
        workspace: The workspace.
        names: Recipes; empty for all that are published.
    """

    workspace: Workspace
    names: tuple[str, ...] = ()

    def __call__(self) -> list[ModelConfig]:
        """Returns the models of the present records.

        Raises:
            OSError: A record cannot be read; the caller then keeps its present models.
        """
        try:
            return [
                model for name in self.names or champions.recipe_names(self.workspace) for model in self._models(name)
            ]
        except PipelineError as error:
            raise OSError(str(error)) from error

    def _models(self, name: str) -> list[ModelConfig]:
        from serving.options import ModelConfig

        folder = self.workspace.model_versions(name)
        return [
            ModelConfig(serving_name(name, alias), folder, specific=(version,), labels={alias: version}, optional=True)
            for alias, version in champions.current_entry(self.workspace, name).aliases.items()
        ]
