"""The registered model answers through MLflow as it answers when served."""

import numpy as np
import pandas as pd
import pytest

from pipeline.tracking import model_registry
from pipeline.tracking.__main__ import main


@pytest.fixture
def halving(workspace):
    import tensorflow as tf

    class Halving(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def serve(self, x):
            return {"score": x / 2}

    folder = workspace / "artifacts" / "halving"
    module = Halving()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


@pytest.mark.heavy
def test_answers_frames_and_dicts(run, halving, workspace, uri):
    import mlflow

    run.whole(halving)
    assert main([str(workspace), "run-1", "--uri", uri]) == 0
    loaded = mlflow.pyfunc.load_model("models:/digits@champion")
    frame = pd.DataFrame({"x": [1.0, 3.0]})
    np.testing.assert_array_equal(np.float32([0.5, 1.5]), loaded.predict(frame)["score"])
    np.testing.assert_array_equal(np.float32([2.0]), loaded.predict({"x": [4.0]})["score"])


def test_signature_tells_bytes_text_and_numbers():
    inputs = {
        "image_bytes": "string",
        "text": "string",
        "age": "int64",
        "x": {"dtype": "float32", "shape": [None, 2]},
    }
    built = model_registry.build_signature({"serving_default": {"inputs": inputs, "outputs": {"label": "string"}}})
    kinds = {column.name: str(column.type) for column in built.inputs}
    assert {"image_bytes", "text", "age", "x"} == kinds.keys()
    assert [kinds["image_bytes"], kinds["text"], kinds["age"]] == [
        "DataType.binary",
        "DataType.string",
        "DataType.long",
    ]
    assert "Array" in kinds["x"]
    assert built.outputs.input_names() == ["label"]


@pytest.mark.parametrize(
    "signatures", [None, {}, ["serving_default"], {"serving_default": {}}, {"other": {"inputs": {}}}]
)
def test_no_signature_where_none_is_recorded(signatures):
    assert model_registry.build_signature(signatures) is None
