"""`keraspipe compile`: the pipeline of a recipe as a file that a Kubeflow Pipelines cluster takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import console, subprocesses
from pipeline.commands import _common
from pipeline.commands.run import make_request
from pipeline.errors import PipelineError, UsageError
from pipeline.recipes import catalog
from pipeline.runs import run
from pipeline.store import fileio

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.kubeflow.compiler import Cluster
    from pipeline.recipes.catalog import RecipeSource
    from pipeline.runs.run import RunRequest
    from pipeline.settings import Settings

DEFAULT_IMAGE, DEFAULT_TRAINER = "keraspipe/pipeline:local", "keraspipe/trainer:local"


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME", help="a recipe")
    parser.add_argument("--to", choices=["kubeflow"], required=True, help="the system that will run the pipeline")
    parser.add_argument("--out", metavar="FILE", help="default: NAME.yaml")
    parser.add_argument("--image", default=DEFAULT_IMAGE, help=f"image of the steps (default: {DEFAULT_IMAGE})")
    parser.add_argument(
        "--root", default="", help="gs://, s3:// or minio:// folder for Kubeflow's artifacts (default: Kubeflow's own)"
    )
    parser.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs of the training (default: 0)")
    parser.add_argument(
        "--trainer-image",
        default=DEFAULT_TRAINER,
        metavar="IMAGE",
        help=f"image of a training with GPUs (default: {DEFAULT_TRAINER})",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a hyperparameter; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the training (default: 1)")
    _common.add_publication(parser)
    parser.set_defaults(until=run.STEPS[-1], cache=True)


def command(options: Namespace, settings: Settings) -> int:
    """Writes the file and prints the next step."""
    from pipeline.kubeflow import compiler

    _require_count(options.gpus)
    compiler.require_root(options.root)
    request = make_request(options, settings)
    inside = compiler.image_request(request)
    where = compiler.Cluster(
        image=options.image,
        trainer=options.trainer_image,
        root=options.root,
        gpus=options.gpus,
        tracking_uri=settings.tracking_uri or compiler.Cluster.tracking_uri,
    )
    out = Path(options.out or f"{request.name}.yaml")
    _write_documents(out, _compile_pipeline(request.source, inside, where))
    print(f"Compiled: {out}")
    print(
        "Next: upload it on Kubeflow's page Pipelines, in a namespace that has the volume claims of deploy/kubernetes"
    )
    return 0


def _require_count(gpus: int) -> None:
    if gpus < 0:
        raise UsageError(
            "The number of GPUs is negative.", expected="--gpus 0 or more", received=gpus, action="correct --gpus"
        )


def _compile_pipeline(source: RecipeSource, inside: RunRequest, where: Cluster) -> list[dict[str, Any]]:
    subprocesses.configure_tensorflow()
    with console.redirect_output(Path(os.devnull)):
        from pipeline.kubeflow import compiler

        return compiler.compile_pipeline(inside, catalog.pin_recipe(source), where)


def _write_documents(out: Path, documents: list[dict[str, Any]]) -> None:
    import yaml

    try:
        with fileio.replace_file(out) as temporary:
            temporary.write_text(yaml.safe_dump_all(documents))
    except OSError as error:
        raise PipelineError(
            f"{out} cannot be written.",
            expected="a file in a folder that can be written",
            received=error.strerror,
            action="choose another file with --out FILE",
        ) from error
