"""What a model says about test images, or which images it draws, for the picture of samples."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.datasets.example import Dataset
    from serving.model import LoadedModel

COUNT = 40


def asked(model: LoadedModel, test: Path, data: Dataset) -> list[dict[str, Any]]:
    """Images: those that a generative model draws, else the first test examples with the model's answers.

    Empty where the model neither draws nor classifies images.

    Args:
        model: The loaded SavedModel.
        test: Folder of the test split's TFRecords.
        data: The data set's declaration.
    """
    if seed := _seed(model):
        return _drawn(model, seed)
    return _classified(model, test, data) if data.classes and "image_bytes" in data.inputs else []


def _seed(model: LoadedModel) -> str:
    """The input of a `serving_default` that makes one image of one integer; empty if it is another."""
    declared = model.signatures["serving_default"]
    name, info = next(iter(declared.inputs.items()))
    draws = declared.outputs.keys() == {"image_bytes"} and len(declared.inputs) == 1
    return name if draws and info.dtype.name in {"int32", "int64"} and info.shape == (-1,) else ""


def _drawn(model: LoadedModel, seed: str) -> list[dict[str, Any]]:
    answer = model.predict("serving_default", {seed: range(COUNT)})
    return [{"image_bytes": base64.b64encode(image).decode()} for image in answer["image_bytes"]]


def _classified(model: LoadedModel, test: Path, data: Dataset) -> list[dict[str, Any]]:
    import numpy as np
    import tensorflow as tf

    records = [r.numpy() for r in tf.data.TFRecordDataset(tf.io.gfile.glob(f"{test}/*")).take(COUNT)]
    rows = [tf.train.Example.FromString(record).features.feature for record in records]
    answer = model.predict("serving_examples", {"examples": np.array(records, object)})
    if not {"label", "probabilities"} <= answer.keys():
        return []
    return [
        {
            "image_bytes": base64.b64encode(row["image_bytes"].bytes_list.value[0]).decode(),
            "label": row[data.label].bytes_list.value[0].decode(),
            "predicted": answer["label"][i].decode(),
            "probability": float(answer["probabilities"][i].max()),
        }
        for i, row in enumerate(rows)
    ]
