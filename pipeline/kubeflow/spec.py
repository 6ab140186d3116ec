"""The pipeline as Kubeflow Pipelines 2 reads it: TFX's runner writes the tasks, here they get their containers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline.kubeflow.cluster import CLAIMS, LABELS
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

    from pipeline.kubeflow.cluster import Cluster
    from pipeline.recipe import Recipe
    from pipeline.run import Request

# Kubeflow puts the id of its run in place of it, if a parameter is nothing else.
RUN, RUN_ID = "kubeflow_run", "{{$.pipeline_job_uuid}}"
ENTRY = ("python", "-m", "pipeline.kubeflow")


def compiled(request: Request, recipe: Recipe, cluster: Cluster) -> list[dict[str, Any]]:
    """PipelineSpec and PlatformSpec, the two documents of the file that is uploaded.

    Args:
        request: The run, with the folders as they are in the containers.
        recipe: Its recipe.
        cluster: Where it will run.
    """
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

    runner = KubeflowV2DagRunner(KubeflowV2DagRunnerConfig(default_image=cluster.image, use_pipeline_spec_2_1=True))
    # TFX makes the folder of its database at once, and a model that is live on this machine is none of the cluster's.
    with TemporaryDirectory() as scratch:
        job = runner.run(_pipeline(_moved(request, Workspace(Path(scratch))), recipe), write_out=False)
    text = json.dumps(job["pipelineSpec"]).replace(scratch, str(request.settings.workspace))
    spec: dict[str, Any] = json.loads(text)
    if cluster.root:
        spec["defaultPipelineRoot"] = cluster.root
    for task in spec["root"]["dag"]["tasks"].values():
        component = spec["components"][task["componentRef"]["name"]]
        _name_run(task, component)
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        _dress(container, task["taskInfo"]["name"].replace("-", "_"), request, cluster)
    return [spec, _platform(spec)]


def _moved(request: Request, workspace: Workspace) -> Request:
    return replace(request, settings=replace(request.settings, workspace=workspace))


def _pipeline(request: Request, recipe: Recipe) -> Pipeline:
    from pipeline import dag

    # Of no consequence: the digests are for TFX's cache, and what the training gets of them is made in its container.
    found = dag.Digests(ingest="", schema="", transform="", train="", score="")
    pipeline = dag.pipeline(request, recipe, found, run_id="")
    pipeline.pipeline_info.pipeline_name = request.name.replace("_", "-")
    pipeline.enable_cache = False  # Kubeflow cannot see whether the files on the data's volume have changed
    for node in pipeline.components:
        node.with_id(node.id.replace("_", "-"))  # they become names of Kubernetes resources
    return pipeline


def _name_run(task: dict[str, Any], component: dict[str, Any]) -> None:
    inputs, definitions = task.setdefault("inputs", {}), component.setdefault("inputDefinitions", {})
    inputs.setdefault("parameters", {})[RUN] = {"runtimeValue": {"constant": RUN_ID}}
    definitions.setdefault("parameters", {})[RUN] = {"parameterType": "STRING"}


def _dress(container: dict[str, Any], step: str, request: Request, cluster: Cluster) -> None:
    """Gives a container its command, image, variables and resources; TFX's arguments stay as they are."""
    container["image"] = cluster.image_of(step)
    container["command"] = [*ENTRY, f"--step={step}", f"--request={told(request)}"]
    container["env"] = [{"name": k, "value": v} for k, v in cluster.environment(request).items()]
    container["resources"] = cluster.resources(step)


def told(request: Request) -> str:
    """The request as JSON, for `pipeline.kubeflow.progress.request` in the container."""
    found = {name: getattr(request, name) for name in ("name", "params", "quick", "seed", "alias")}
    return json.dumps(found)


def _platform(spec: dict[str, Any]) -> dict[str, Any]:
    """What the pods have of Kubernetes: volumes, and the name by which `deploy/kubernetes` lets them reach MLflow."""
    executors = {
        label: {
            "pvcMount": [{"constant": claim, "mountPath": path} for path, claim in CLAIMS.items()],
            "podMetadata": {"labels": {**LABELS}},
        }
        for label in spec["deploymentSpec"]["executors"]
    }
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
