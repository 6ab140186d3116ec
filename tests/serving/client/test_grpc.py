"""The clients and gRPC servers that do as they are told."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from serving.client.async_client import AsyncClient
from serving.client.client import Client
from serving.errors import Code, DeadlineExceeded, InvalidArgument, ServingError, Unavailable

both_kinds = pytest.mark.parametrize("kind", ["sync", "async"])


def ask(kind, address, method, *args, options=None, **keywords):
    """Call one method of a client of either kind."""
    if kind == "sync":
        with Client(address, **(options or {})) as client:
            return getattr(client, method)(*args, **keywords)

    async def asked():
        async with AsyncClient(address, **(options or {})) as client:
            return await getattr(client, method)(*args, **keywords)

    return asyncio.run(asked())


def test_a_new_version_with_other_inputs():
    """What the server refuses is asked again where its signatures are new, and told where they are not."""
    kinds = [1, 2]  # DT_FLOAT, DT_DOUBLE

    def act(context, _number):
        method = server.calls[-1][0]
        if method == "Predict" and server.calls.count(server.calls[-1]) > 1 and len(kinds) > 1:
            kinds.pop(0)
            return grpc.StatusCode.INVALID_ARGUMENT
        if method == "Predict":
            return grpc.StatusCode.INVALID_ARGUMENT if refuse else predict_pb2.PredictResponse()
        return _signature_def(kinds[0])

    refuse = False
    with Rpc(act) as server, Client(server.address) as client:
        client.predict("m", [1.0])
        client.predict("m", [1.0])
        assert ["GetModelMetadata", "Predict", "Predict", "GetModelMetadata", "Predict"] == _methods(server)
        refuse = True
        with pytest.raises(InvalidArgument, match=r"^as told$"):
            client.predict("m", [1.0])
        assert ["Predict", "GetModelMetadata"] == _methods(server)[5:]


def _methods(server):
    return [name for name, _ in server.calls]


def _signature_def(dtype):
    signatures = get_model_metadata_pb2.SignatureDefMap()
    signature = signatures.signature_def["serving_default"]
    signature.inputs["x"].dtype = dtype
    signature.outputs["y"].dtype = 1
    reply = get_model_metadata_pb2.GetModelMetadataResponse()
    reply.metadata["signature_def"].Pack(signatures)
    return reply


class Rpc(grpc.GenericRpcHandler):
    """A gRPC server of one act: (context, number of the call) to a message, a status code or an exception."""

    def __init__(self, act, address="127.0.0.1:0", credentials=None):
        self.act = act
        self.calls = []
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=[self])
        port = (
            self._server.add_secure_port(address, credentials)
            if credentials
            else self._server.add_insecure_port(address)
        )
        self.address = address if address.startswith("unix:") else f"127.0.0.1:{port}"

    def service(self, details):
        def answered(_body, context):
            self.calls.append((details.method.rpartition("/")[2], dict(context.invocation_metadata())))
            found = self.act(context, len(self.calls))
            if isinstance(found, grpc.StatusCode):
                context.abort(found, "as told")
            return found.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answered)

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_error):
        self._server.stop(0).wait()


def _available(*_):
    reply = get_model_status_pb2.GetModelStatusResponse()
    reply.model_version_status.add(version=3, state=30)
    return reply


@both_kinds
def test_grpc_is_asked_again_while_it_is_away(kind):
    def act(_context, number):
        return grpc.StatusCode.UNAVAILABLE if number < 3 else _available()

    with Rpc(act) as server:
        assert [3] == [one.version for one in ask(kind, f"grpc://{server.address}", "status", "m")]
        assert 3 == len(server.calls)


@both_kinds
def test_grpc_errors_are_final_and_keep_their_code(kind):
    for code in ("INTERNAL", "RESOURCE_EXHAUSTED", "ABORTED", "PERMISSION_DENIED"):
        with Rpc(lambda *_, code=code: grpc.StatusCode[code]) as server:
            with pytest.raises(ServingError, match=r"^as told$") as caught:
                ask(kind, server.address, "status", "m")
            assert (Code[code], 1) == (caught.value.code, len(server.calls))


@both_kinds
def test_the_deadline_travels(kind):
    left = []

    def act(context, _number):
        left.append(context.time_remaining())
        return _available()

    with Rpc(act) as server:
        ask(kind, server.address, "status", "m", timeout_s=50, options={"timeout_s": 5})
    assert 5 < left[0] < 60


@both_kinds
def test_a_slow_grpc_server(kind):
    stop = threading.Event()

    def act(*_):
        stop.wait(30)
        return _available()

    with Rpc(act) as server:
        try:
            with pytest.raises(
                DeadlineExceeded, match=r"No answer from 127.*within 0.3 s[\s\S]*Next: pass a larger tim"
            ):
                ask(kind, server.address, "status", "m", timeout_s=0.3)
        finally:
            stop.set()


@both_kinds
def test_a_unix_socket(kind, tmp_path_factory):
    with Rpc(_available, f"unix:{tmp_path_factory.mktemp('s')}/s") as server:
        assert [3] == [one.version for one in ask(kind, server.address, "status", "m")]


@both_kinds
def test_reload(kind, tmp_path):
    text = 'model_config_list { config { name: "m" base_path: "/m" } }'
    file = tmp_path / "models.config"
    file.write_text(text)
    reply = model_management_pb2.ReloadConfigResponse()
    with Rpc(lambda *_: reply) as server:
        for config in (text, file):
            assert ask(kind, server.address, "reload", config) is None
        with pytest.raises(InvalidArgument, match=r"The configuration cannot be read.\nExpected: [\s\S]*Next: mend it"):
            ask(kind, server.address, "reload", "nonsense {")
        reply.status.error_code, reply.status.error_message = 3, "no such folder"
        with pytest.raises(InvalidArgument, match=r"^no such folder$"):
            ask(kind, server.address, "reload", text)
    assert ["HandleReloadConfigRequest"] * 3 == [name for name, _ in server.calls]


@both_kinds
def test_reload_is_sent_once(kind):
    with Rpc(lambda *_: grpc.StatusCode.UNAVAILABLE) as server:
        with pytest.raises(Unavailable):
            ask(kind, server.address, "reload", "")
        assert 1 == len(server.calls)


@pytest.mark.heavy
@both_kinds
def test_ready_when_the_server_comes_later(kind):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = []

    def start():
        started.append(Rpc(_available, f"127.0.0.1:{port}").__enter__())

    timer = threading.Timer(0.6, start)
    timer.start()
    try:
        assert [3] == [one.version for one in ask(kind, f"127.0.0.1:{port}", "wait_until_ready", "m", 30)]
    finally:
        timer.join()
        started[0].__exit__()
