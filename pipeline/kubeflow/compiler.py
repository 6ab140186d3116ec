"""The pipeline as Kubeflow Pipelines 2 reads it: TFX's runner writes the tasks, here they get their containers.

Where a compiled pipeline runs: images, folders and claims, as in `docker-compose.yml` and `deploy/kubernetes`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.settings import ROOT
from pipeline.store.layout import Workspace

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

    from pipeline.recipe import Recipe
    from pipeline.runs.run import RunRequest


# Kubeflow puts the id of its run in place of it, if a parameter is nothing else.
RUN_PARAMETER, RUN_ID_PLACEHOLDER = "kubeflow_run", "{{$.pipeline_job_uuid}}"
ENTRY_POINT = ("python", "-m", "pipeline.kubeflow")
APP = Path("/app")
ROOT_SCHEMES = ("gs", "s3", "minio")
# Persistent volume claims by where they are mounted; the steps share what `keraspipe run` has in its workspace.
CLAIMS = {"/workspace": "workspace", "/workspace/serving": "models", "/data": "data"}
LABELS = {"app.kubernetes.io/name": "pipeline", "app.kubernetes.io/part-of": "keraspipe"}


def compile_pipeline(request: RunRequest, recipe: Recipe, cluster: Cluster) -> list[dict[str, Any]]:
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
        job = runner.run(_tfx_pipeline(_with_workspace(request, Workspace(Path(scratch))), recipe), write_out=False)
    text = json.dumps(job["pipelineSpec"]).replace(scratch, str(request.settings.workspace))
    spec: dict[str, Any] = json.loads(text)
    if cluster.root:
        spec["defaultPipelineRoot"] = cluster.root
    for task in spec["root"]["dag"]["tasks"].values():
        component = spec["components"][task["componentRef"]["name"]]
        _add_run_parameter(task, component)
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        _configure_container(container, task["taskInfo"]["name"].replace("-", "_"), request, cluster)
    return [spec, _platform_spec(spec)]


def _with_workspace(request: RunRequest, workspace: Workspace) -> RunRequest:
    return replace(request, settings=replace(request.settings, workspace=workspace))


def _tfx_pipeline(request: RunRequest, recipe: Recipe) -> Pipeline:
    from pipeline.runner import dag, digests

    # Of no consequence: the digests are for TFX's cache, and what the training gets of them is made in its container.
    step_digests = digests.StepDigests(ingest="", schema="", transform="", train="", baseline="", score="")
    pipeline = dag.build_pipeline(request, recipe, step_digests, run_id="")
    pipeline.pipeline_info.pipeline_name = request.name.replace("_", "-")
    pipeline.enable_cache = False  # Kubeflow cannot see whether the files on the data's volume have changed
    for node in pipeline.components:
        node.with_id(node.id.replace("_", "-"))  # they become names of Kubernetes resources
    return pipeline


def _add_run_parameter(task: dict[str, Any], component: dict[str, Any]) -> None:
    inputs, definitions = task.setdefault("inputs", {}), component.setdefault("inputDefinitions", {})
    inputs.setdefault("parameters", {})[RUN_PARAMETER] = {"runtimeValue": {"constant": RUN_ID_PLACEHOLDER}}
    definitions.setdefault("parameters", {})[RUN_PARAMETER] = {"parameterType": "STRING"}


def _configure_container(container: dict[str, Any], step: str, request: RunRequest, cluster: Cluster) -> None:
    """Gives a container its command, image, variables and resources; TFX's arguments stay as they are."""
    container["image"] = cluster.image_of(step)
    container["command"] = [*ENTRY_POINT, f"--step={step}", f"--request={request_json(request)}"]
    container["env"] = [{"name": k, "value": v} for k, v in cluster.environment(request).items()]
    container["resources"] = cluster.resources(step)


def request_json(request: RunRequest) -> str:
    """The request as JSON, for `pipeline.kubeflow.task.parse_request` in the container."""
    fields = {name: getattr(request, name) for name in ("name", "params", "quick", "seed", "alias")}
    return json.dumps(fields)


def _platform_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """What the pods have of Kubernetes: volumes, and the name by which `deploy/kubernetes` lets them reach MLflow."""
    executors = {
        label: {
            "pvcMount": [{"constant": claim, "mountPath": path} for path, claim in CLAIMS.items()],
            "podMetadata": {"labels": {**LABELS}},
        }
        for label in spec["deploymentSpec"]["executors"]
    }
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


@dataclass(frozen=True)
class Cluster:
    """What differs from cluster to cluster.

    Attributes:
        image: Image of all steps.
        trainer: Image of the training where it has GPUs.
        root: Where Kubeflow notes the artifacts (gs://, s3:// or minio://); empty for the cluster's default.
        gpus: GPUs of the training.
        tracking_uri: The MLflow server, as the pods reach it.
    """

    image: str = "keraspipe/pipeline:local"
    trainer: str = "keraspipe/trainer:local"
    root: str = ""
    gpus: int = 0
    tracking_uri: str = "http://mlflow:5000"

    def image_of(self, step: str) -> str:
        """The image of a step."""
        return self.trainer if self._on_gpu(step) else self.image

    def environment(self, request: RunRequest) -> dict[str, str]:
        """The variables of the containers; the same for all, since every step's digests are of all settings."""
        settings = request.settings
        variables = {
            "KERASPIPE_WORKSPACE": str(settings.workspace),
            "KERASPIPE_DATA": str(settings.data),
            "KERASPIPE_DETERMINISTIC": str(int(settings.deterministic)),
            "KERASPIPE_DISTRIBUTION": settings.distribution,
            "KERASPIPE_MIXED_PRECISION": settings.mixed_precision,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
        }
        if self.gpus and settings.mixed_precision == "float32":
            variables["KERASPIPE_MIXED_PRECISION"] = "mixed_bfloat16"
        return {**variables, "TF_FORCE_GPU_ALLOW_GROWTH": "true"} if self.gpus else variables

    def resources(self, step: str) -> dict[str, Any]:
        """What a step asks for: processors, memory in GB, GPUs."""
        if not self._on_gpu(step):
            return {"cpuRequest": 1.0, "memoryRequest": 3.0}
        # The older names of these fields, which older clusters know, too.
        return {
            "cpuRequest": 4.0,
            "memoryRequest": 8.0,
            "accelerator": {"type": "nvidia.com/gpu", "count": str(self.gpus)},
        }

    def _on_gpu(self, step: str) -> bool:
        return step == "train" and self.gpus > 0


def require_root(root: str) -> None:
    """Raises a UsageError where Kubeflow's launcher would refuse the pipeline root."""
    scheme, sign, rest = root.partition("://")
    if root and not (sign and rest and scheme in ROOT_SCHEMES):
        raise UsageError(
            f"Kubeflow takes no pipeline root like {root}.",
            expected=" or ".join(f"{name}://BUCKET/FOLDER" for name in ROOT_SCHEMES)
            + "; nothing for the cluster's default",
            received=root,
            action="name a bucket; the files themselves lie on the claim of /workspace, whatever the root is",
        )


def image_request(request: RunRequest) -> RunRequest:
    """The request as it is in the image, where the project is /app.

    Raises:
        UsageError: The recipe is not part of the image.
    """
    path = request.source.path
    if path.parent != ROOT / "models":
        raise UsageError(
            f"The recipe {request.name} is not in the image.",
            expected=f"a recipe in {ROOT / 'models'}, which the image holds",
            received=path,
            action=f"copy {path} to {ROOT / 'models'} and build the image again",
        )
    settings = replace(request.settings, workspace=Workspace(Path("/workspace")), data=Path("/data"))
    return replace(request, settings=settings, source=replace(request.source, path=APP / "models" / path.name))
