"""Reconstructions: of images by a signature, of vectors by an output, and of nothing else."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.evaluation import examples
from pipeline.steps import ingest


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


class Model:
    """Says which signatures it has, and turns images and vectors round."""

    def __init__(self, **signatures):
        outer = {"serving_examples": ((), ()), **signatures}
        self.signatures = {
            name: SimpleNamespace(inputs=dict.fromkeys(inputs), outputs=dict.fromkeys(outputs))
            for name, (inputs, outputs) in outer.items()
        }

    def predict(self, signature, inputs):
        if signature == "reconstruct":
            return {"image_bytes": [image[::-1] for image in inputs["image_bytes"]]}
        if signature == "transform_features":
            return {"size": np.ones(len(inputs["v"])), "scaled": np.array(inputs["v"]) * 10}
        return {"reconstruction": np.zeros((len(inputs["examples"]), 3))}


@pytest.fixture
def split(tmp_path):
    ingest.write_splits(
        [ingest.Row("test", 0.1, {"image_bytes": b"abc", "v": (1.0, 2.0, float(n))}) for n in range(12)], tmp_path
    )
    return tmp_path / "Split-test"


def test_images(split):
    found = examples.sample_reconstructions(Model(reconstruct=(("image_bytes",), ("image_bytes", "elbo"))), split)
    assert [{"image": encoded(b"abc"), "drawn": encoded(b"cba")}] * examples.RECONSTRUCTION_COUNT == found


def test_vectors_next_to_the_preprocessed_feature(split):
    model = Model(serving_examples=(("examples",), ("reconstruction",)), transform_features=(("v",), ("scaled",)))
    found = examples.sample_reconstructions(model, split)
    assert {"numbers": [10.0, 20.0, 30.0], "drawn": [0.0, 0.0, 0.0]} == found[3]
    assert examples.RECONSTRUCTION_COUNT == len(found)


def test_other_models_reconstruct_nothing(split):
    assert [] == examples.sample_reconstructions(Model(serving_examples=(("examples",), ("probabilities",))), split)
    assert [] == examples.sample_reconstructions(Model(reconstruct=(("text",), ("text",))), split)
