"""What `keraspipe serve` serves: the versions that the workspace's records name, asked again at every look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import champion
from pipeline.errors import PipelineError
from pipeline.models_config import served_name

if TYPE_CHECKING:
    from pipeline.workspace import Workspace
    from serving.config import ModelConfig


@dataclass(frozen=True)
class Served:
    """Lists the models to serve, each with one version and its alias as label, as `models.config` does.

    The records themselves are read, so that a change holds from its one rename on, whatever became of the rest.

    Args:
        workspace: The workspace.
        names: Recipes; empty for all that are published.
    """

    workspace: Workspace
    names: tuple[str, ...] = ()

    def __call__(self) -> list[ModelConfig]:
        """The models as the records are now.

        Raises:
            OSError: A record cannot be read; whoever polls then leaves everything as it is.
        """
        try:
            return [one for name in self.names or champion.names(self.workspace) for one in self._models(name)]
        except PipelineError as error:
            raise OSError(str(error)) from error

    def _models(self, name: str) -> list[ModelConfig]:
        from serving.config import ModelConfig

        folder = self.workspace.model_versions(name)
        return [
            ModelConfig(served_name(name, alias), folder, specific=(version,), labels={alias: version}, optional=True)
            for alias, version in champion.standing(self.workspace, name).aliases.items()
        ]
