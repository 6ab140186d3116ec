"""Graphs that TensorFlow loads, but cannot run: the request or the load fails, not the process."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from serving.core import predict
from serving.core.model import LoadedModel
from serving.errors import ServingError

RUN = """
import sys
import numpy as np
from serving.core import predict
from serving.errors import ServingError
from serving.core.model import LoadedModel
try:
    predict.run(LoadedModel(sys.argv[1]), "serving_default", {"x": np.ones([1], np.float32)})
except ServingError:
    print("refused")
"""


@pytest.fixture
def spoiled(saved, tmp_path):
    """Copies a model, with its `SavedModel` message changed."""

    def make(change):
        from tensorflow.core.protobuf import saved_model_pb2

        folder = tmp_path / "model"
        shutil.copytree(saved / "linear_2", folder)
        file = folder / "saved_model.pb"
        message = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        change(message.meta_graphs[0])
        file.write_bytes(message.SerializeToString())
        return folder

    return make


def _int_for_float(meta):
    """One bit of one byte: the type of a constant within a function, 1 (float) to 3 (int32)."""
    for function in meta.graph_def.library.function:
        for node in function.node_def:
            if node.op == "Const" and node.attr["value"].tensor.dtype == 1:
                node.attr["value"].tensor.dtype = 3


def _other_output(meta):
    meta.signature_def["serving_default"].outputs["y"].name = "Other:0"


@pytest.mark.process
def test_a_constant_of_another_type_does_not_abort_the_process(spoiled):
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(spoiled(_int_for_float))], capture_output=True, text=True, check=False
    )
    assert (0, "refused\n") == (done.returncode, done.stdout), done.stderr[-500:]


def test_a_signature_that_cannot_be_run_is_an_error_of_ours(spoiled):
    model = LoadedModel(spoiled(_other_output))
    with pytest.raises(ServingError):
        predict.run(model, "serving_default", {"x": np.ones([1], np.float32)})
