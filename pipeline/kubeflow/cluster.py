"""Where a compiled pipeline runs: images, folders and claims, as in `docker-compose.yml` and `deploy/kubernetes`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.settings import ROOT
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.run import Request

APP = Path("/app")
SCHEMES = ("gs", "s3", "minio")
# Persistent volume claims by where they are mounted; the steps share what `keraspipe run` has in its workspace.
CLAIMS = {"/workspace": "workspace", "/workspace/serving": "models", "/data": "data"}
LABELS = {"app.kubernetes.io/name": "pipeline", "app.kubernetes.io/part-of": "keraspipe"}


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

    def environment(self, request: Request) -> dict[str, str]:
        """The variables of the containers; the same for all, since every step's digests are of all settings."""
        settings = request.settings
        found = {
            "KERASPIPE_WORKSPACE": str(settings.workspace),
            "KERASPIPE_DATA": str(settings.data),
            "KERASPIPE_DETERMINISTIC": str(int(settings.deterministic)),
            "KERASPIPE_DISTRIBUTION": settings.distribution,
            "KERASPIPE_MIXED_PRECISION": settings.mixed_precision,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
        }
        if self.gpus and settings.mixed_precision == "float32":
            found["KERASPIPE_MIXED_PRECISION"] = "mixed_bfloat16"
        return {**found, "TF_FORCE_GPU_ALLOW_GROWTH": "true"} if self.gpus else found

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
    if root and not (sign and rest and scheme in SCHEMES):
        raise UsageError(
            f"Kubeflow takes no pipeline root like {root}.",
            expected=" or ".join(f"{one}://BUCKET/FOLDER" for one in SCHEMES) + "; nothing for the cluster's default",
            received=root,
            action="name a bucket; the files themselves lie on the claim of /workspace, whatever the root is",
        )


def inside(request: Request) -> Request:
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
