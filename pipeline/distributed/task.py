"""What a training needs, as JSON in the shared workspace, and the connection to a node."""

from __future__ import annotations

import ast
import linecache
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipeline.recipes import catalog
from pipeline.recipes.catalog import RecipeSource
from pipeline.store import fileio

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs


TASK_FILE = "task.json"
ARGUMENTS = ("transform_graph_path", "train_files", "eval_files", "model_run_dir", "serving_model_dir", "custom_config")
PORT = 2222
# A machine that vanishes closes nothing: after these seconds of silence it is asked, and so often in vain at most.
IDLE_S, INTERVAL_S, PROBES = 10, 5, 4


def write_task(args: FnArgs) -> Path:
    """Writes what the Trainer was called with, and the recipe as this run has read it, next to the checkpoint."""
    config = args.custom_config
    path = Path(config["checkpoints"]) / TASK_FILE
    text = "".join(linecache.getlines(config["recipe"]))  # as it was pinned; the file may be edited meanwhile
    fileio.write_json(path, {"text": text, **{name: getattr(args, name) for name in ARGUMENTS}})
    return path


def read_task(path: Path) -> Any:
    """The Trainer's arguments; the recipe is pinned."""
    kept = fileio.read_json(path)
    recipe, text = Path(kept["custom_config"]["recipe"]), kept.pop("text")
    catalog.pin_recipe(RecipeSource(recipe.stem, recipe, text, ast.parse(text), {}))
    return SimpleNamespace(**kept)


def keep_alive(connection: socket.socket) -> None:
    """Has the connection end by itself within half a minute when the other machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, IDLE_S),
        (socket.TCP_KEEPINTVL, INTERVAL_S),
        (socket.TCP_KEEPCNT, PROBES),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
