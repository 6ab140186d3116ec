"""The request log of a real server, both transports, up to its end. Needs the server to sample requests."""

from __future__ import annotations

import json
import urllib.request

from serving.options import RequestLog
from serving.request_log import records
from serving.wire import tensor_proto


def test_requests_of_both_transports_are_kept(served, tmp_path, run_server):
    with run_server(served, names=("half",), request_log=RequestLog(tmp_path, rate=1.0)) as server:
        _ask_rest(f"{server.rest}/v1/models/half:predict", {"instances": [1.0, 2.0]})
        _ask_rest(f"{server.rest}/v1/models/half:regress", {"signature_name": "regress", "examples": [{"x": 4.0}]})
        _ask_grpc(server.grpc)
        assert 0 == server.terminate()
    [path] = tmp_path.rglob("*.tfrecord")
    assert tmp_path / "half" == path.parent
    logs = list(records.read_logs(path))
    assert ["predict_log", "regress_log", "predict_log"] == [one.WhichOneof("log_type") for one in logs]
    assert {("half", 2, 1.0)} == {
        (one.log_metadata.model_spec.name, one.log_metadata.model_spec.version.value, _rate(one)) for one in logs
    }
    assert [[1.0, 2.0], [3.0]] == [_values(one.predict_log.request.inputs["x"]) for one in (logs[0], logs[2])]
    assert [[3.5, 4.0], [4.5]] == [_values(one.predict_log.response.outputs["y"]) for one in (logs[0], logs[2])]
    assert [5.0] == [one.value for one in logs[1].regress_log.response.result.regressions]


def _rate(log):
    return log.log_metadata.sampling_config.sampling_rate


def _values(tensor):
    return tensor_proto.decode(tensor, "x").tolist()


def _ask_rest(url, body):
    with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=60) as reply:
        assert 200 == reply.status


def _ask_grpc(address):
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half"
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add().size = 1
    request.inputs["x"].float_val.append(3.0)
    with grpc.insecure_channel(address) as channel:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
