"""The settings of a run: where workspace, data, recipes and MLflow are. The only reader of environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.store.layout import Workspace

ROOT = Path(__file__).resolve().parent.parent
WORKSPACE = Workspace(Path("workspace"))


@dataclass(frozen=True)
class Settings:
    """The settings of a run. The command line overrides the environment, which overrides the defaults.

    Attributes:
        workspace: Folder of everything that runs write.
        data: Folder of the data sets.
        recipe_folders: Folders of recipes, the catalogue first.
        tracking_uri: MLflow server; empty for the database in the workspace.
        distribution: "auto" mirrors over the GPUs when there are several, "mirrored" always, "none" never;
            "nodes" trains on several machines.
        mixed_precision: Keras policy: "float32", "mixed_bfloat16" or "mixed_float16".
        deterministic: Same seed, same weights; slower.
        debug: Show tracebacks.
        notify: URL or command that is notified of verdicts and failures; empty for none.
        nodes: Addresses of the training nodes: HOST:PORT, separated by commas; a host name may have many addresses.
        node_count: Number of nodes to wait for; empty for all addresses of the host names.
    """

    workspace: Workspace = WORKSPACE
    data: Path = Path("~/.cache/keraspipe")
    recipe_folders: tuple[Path, ...] = (ROOT / "models",)
    tracking_uri: str = ""
    distribution: str = "auto"
    mixed_precision: str = "float32"
    deterministic: bool = False
    debug: bool = False
    notify: str = ""
    nodes: str = ""
    node_count: str = ""

    @property
    def mlflow_uri(self) -> str:
        """The MLflow server, or the SQLite database of the workspace."""
        return self.tracking_uri or f"sqlite:///{self.workspace.mlflow_db}"


def from_environment(workspace: str | None = None) -> Settings:
    """Reads the settings from the environment variables; all paths are absolute."""
    extra = os.environ.get("KERASPIPE_RECIPES", "")
    folders = [ROOT / "models", *(Path(part) for part in extra.split(os.pathsep) if part)]
    return Settings(
        workspace=Workspace(_absolute(workspace or os.environ.get("KERASPIPE_WORKSPACE", "workspace"))),
        data=_absolute(os.environ.get("KERASPIPE_DATA", "~/.cache/keraspipe")),
        recipe_folders=tuple(_absolute(folder) for folder in folders),
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", ""),
        distribution=os.environ.get("KERASPIPE_DISTRIBUTION", "auto"),
        mixed_precision=os.environ.get("KERASPIPE_MIXED_PRECISION", "float32"),
        deterministic=os.environ.get("KERASPIPE_DETERMINISTIC", "") == "1",
        debug=os.environ.get("KERASPIPE_DEBUG", "") == "1",
        notify=os.environ.get("KERASPIPE_NOTIFY", ""),
        nodes=os.environ.get("KERASPIPE_NODES", ""),
        node_count=os.environ.get("KERASPIPE_NODE_COUNT", ""),
    )


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100  (resolve() would follow links)
