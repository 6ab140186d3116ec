"""What a training needs, as JSON in the workspace that all nodes share."""

from __future__ import annotations

import ast
import linecache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipeline import atomic, catalogue
from pipeline.catalogue import Source

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs

FILE = "task.json"
ARGUMENTS = ("transform_graph_path", "train_files", "eval_files", "model_run_dir", "serving_model_dir", "custom_config")


def write(args: FnArgs) -> Path:
    """Writes what the Trainer was called with, and the recipe as this run has read it, beside the checkpoint."""
    config = args.custom_config
    path = Path(config["checkpoints"]) / FILE
    text = "".join(linecache.getlines(config["recipe"]))  # as it was pinned; the file may be edited meanwhile
    atomic.write_json(path, {"text": text, **{name: getattr(args, name) for name in ARGUMENTS}})
    return path


def read(path: Path) -> Any:
    """The Trainer's arguments; the recipe is pinned."""
    kept = atomic.read_json(path)
    recipe, text = Path(kept["custom_config"]["recipe"]), kept.pop("text")
    catalogue.pin(Source(recipe.stem, recipe, text, ast.parse(text), {}))
    return SimpleNamespace(**kept)
