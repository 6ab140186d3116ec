"""Answers of SavedModels by the TensorFlow of the Python that runs this file; stdin and stdout are lines of JSON.

First line out: the release. Then for each line in {"folder": …, "requests": [[signature, {name: tensor}], …]}, where a
tensor is a TensorProto in base64, a line out: {"session": answers, "object": answers} with one {name: tensor} per
request, or {"error": what went wrong}.
"""

import base64
import json
import sys
import traceback
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import op_def_registry


def unknown_ops(folder):
    graph = SavedModel.FromString(Path(folder, "saved_model.pb").read_bytes()).meta_graphs[0]
    return [op.name for op in graph.meta_info_def.stripped_op_list.op if op_def_registry.get(op.name) is None]


def by_session(folder, requests):
    """As tensorflow/serving does it: the graph in a session, no Python objects."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], folder).signature_def
        return [run(session, signatures[name], inputs) for name, inputs in requests]


def run(session, signature, inputs):
    feeds = {signature.inputs[name].name: value for name, value in inputs.items()}
    return session.run({name: info.name for name, info in signature.outputs.items()}, feeds)


def by_object(folder, requests):
    signatures = tf.saved_model.load(folder).signatures
    return [signatures[name](**{key: tf.constant(value) for key, value in inputs.items()}) for name, inputs in requests]


def answered(line):
    asked = json.loads(line)
    unknown = unknown_ops(asked["folder"])
    if unknown:
        return {"error": f"TensorFlow {tf.__version__} does not know {unknown} of {asked['folder']}."}
    requests = [(name, {key: array(text) for key, text in inputs.items()}) for name, inputs in asked["requests"]]
    ways = {"session": by_session, "object": by_object}
    return {name: [coded(answer) for answer in way(asked["folder"], requests)] for name, way in ways.items()}


def array(text):
    return tf.make_ndarray(TensorProto.FromString(base64.b64decode(text)))


def coded(answer):
    protos = {name: tf.make_tensor_proto(value) for name, value in answer.items()}
    return {name: base64.b64encode(proto.SerializeToString()).decode() for name, proto in protos.items()}


print(json.dumps(tf.__version__), flush=True)
for line in sys.stdin:
    try:
        answer = answered(line)
    except Exception:  # noqa: BLE001  (the next model is asked all the same)
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
