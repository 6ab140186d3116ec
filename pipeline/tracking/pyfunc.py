"""A SavedModel as a folder that MLflow can load and ask, `mlflow.pyfunc`."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

CODE = Path(__file__).with_name("served_model.py")
PACKAGES = ("mlflow", "tensorflow", "pandas")


def save(path: Path, model: Path, signature: ModelSignature | None = None, about: Model | None = None) -> None:
    """Writes the folder, with a copy of the SavedModel in it.

    Args:
        path: The folder, which does not exist.
        model: Folder of the SavedModel.
        signature: What it takes and gives.
        about: Where MLflow keeps it, and the run that it comes from.
    """
    with warnings.catch_warnings():
        # MLflow advises to add type hints and an input example, to learn from them what the signature says.
        warnings.simplefilter("ignore")
        import mlflow.pyfunc

        mlflow.pyfunc.save_model(
            path,
            mlflow_model=about,
            python_model=str(CODE),
            artifacts={"saved_model": str(model)},
            signature=signature,
            # Named here, because MLflow would load the model in another process to find out.
            pip_requirements=[f"{package}=={version(package)}" for package in PACKAGES],
        )
