"""Train: the function that TFX's Trainer calls by its dotted name; `pipeline.training.trainer` does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.training.trainer import run_training

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs


def run_fn(args: FnArgs) -> None:
    """Trains and exports; `custom_config` holds the recipe, its hyperparameters and the settings of the run."""
    if args.custom_config["distribution"] == "nodes":
        from pipeline.distributed import cluster

        cluster.train(args)
    else:
        run_training(args)
