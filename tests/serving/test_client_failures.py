"""The clients and servers that fail: real sockets that do as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from serving import AsyncClient, Client
from serving.clients.call import Call, Deadline, Pause
from serving.clients.retry import ATTEMPTS, retried
from serving.errors import Code, DataLoss, DeadlineExceeded, InvalidArgument, NotFound, ServingError, Unavailable

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


class Scripted:
    """An HTTP server that treats each request with the next of its acts, the last one again and again."""

    def __init__(self, *acts):
        self.acts = list(acts)
        self.requests = []
        self.stop = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads = ThreadPoolExecutor(8)
        self._threads.submit(self._accept)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self._threads.submit(self._treat, self._socket.accept()[0])

    def _treat(self, connection):
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(65536)
                if not part:
                    return
                request += part
            self.requests.append(request.decode())
            act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
            act(connection, self.stop)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.stop.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._threads.shutdown()


def answer(document, status=200):
    body = document.encode() if isinstance(document, str) else json.dumps(document).encode()

    def act(connection, _stop):
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)

    return act


def reset(connection, _stop):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(connection, _stop):
    connection.shutdown(socket.SHUT_RDWR)


def half(connection, _stop):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def hang(_connection, stop):
    stop.wait(30)


def drip(connection, stop):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b" ")
        if stop.wait(0.05):
            return


AVAILABLE = {"model_version_status": [{"version": "3", "state": "AVAILABLE", "status": {"error_message": ""}}]}
AWAY = answer({"error": "The queue is full"}, 503)


@both_kinds
@pytest.mark.parametrize("act", [AWAY, reset, hang_up])
def test_what_is_away_is_asked_again(kind, act):
    with Scripted(act, act, answer(AVAILABLE)) as server:
        assert [3] == [one.version for one in ask(kind, server.url, "status", "m")]
        assert 3 == len(server.requests)


@both_kinds
@pytest.mark.parametrize("act", [AWAY, reset])
def test_the_tries_end(kind, act):
    with Scripted(act) as server:
        with pytest.raises(Unavailable):
            ask(kind, server.url, "status", "m", options={"attempts": 2})
        assert 2 == len(server.requests)


@both_kinds
@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (answer({"error": "boom"}, 500), ServingError, r"^boom$"),
        (answer({"error": "too much"}, 429), ServingError, r"^too much$"),
        (answer("<html>", 404), NotFound, r"HTTP status 404.\nExpected: .*\nReceived: '<html>'\nNext: "),
        (answer("", 302), ServingError, r"HTTP status 302"),
        (answer("[]"), ServingError, r"cannot be read.\nExpected: [\s\S]*\nNext: "),
        (answer("<html>"), ServingError, r"cannot be read.\nExpected: [\s\S]*\nNext: "),
        (half, DataLoss, r"broke off.\nExpected: .*\nReceived: .*\nNext: "),
    ],
)
def test_an_answer_is_final(kind, act, error, text):
    with Scripted(act) as server:
        with pytest.raises(error, match=text):
            ask(kind, server.url, "status", "m")
        assert 1 == len(server.requests)


@both_kinds
@pytest.mark.parametrize("act", [hang, drip])
def test_a_slow_rest_server(kind, act):
    with (
        Scripted(act) as server,
        pytest.raises(
            DeadlineExceeded, match=r"No answer from http[\s\S]*Received: [\s\S]*Next: pass a larger timeout"
        ),
    ):
        ask(kind, server.url, "status", "m", timeout_s=0.3)


@both_kinds
def test_pauses_do_not_pass_the_deadline(kind):
    with Scripted(AWAY) as server:
        with pytest.raises(Unavailable):
            ask(kind, server.url, "status", "m", timeout_s=0.04)
        assert 1 == len(server.requests)


@both_kinds
def test_paths_of_versions_labels_and_prefixes(kind):
    with Scripted(answer({"error": "x"}, 400)) as server:
        for target in ({}, {"version": 3}, {"label": "a/b"}):
            with pytest.raises(InvalidArgument):
                ask(kind, f"{server.url}/team/", "regress", "m:1/x", [{"x": 1.0}], **target)
        start = "POST /team/v1/models/m%3A1%2Fx"
        assert [f"{start}:regress", f"{start}/versions/3:regress", f"{start}/labels/a%2Fb:regress"] == [
            request.partition(" HTTP")[0] for request in server.requests
        ]


def _metadata(**outputs):
    def info(dtype):
        return {"dtype": dtype, "tensor_shape": {"dim": [{"size": "-1"}]}, "name": "t:0"}

    named = {name: info(dtype) for name, dtype in outputs.items()}
    signature = {"inputs": {"x": info("DT_FLOAT")}, "outputs": named, "method_name": "tensorflow/serving/predict"}
    return answer({"metadata": {"signature_def": {"signature_def": {"serving_default": signature}}}})


@pytest.mark.parametrize(
    ("answers", "now", "expected"),
    [
        ([[1.5]], {"y": "DT_FLOAT"}, {"y": [1.5]}),
        ([{"y": [2.5], "z": [1]}], {"y": "DT_FLOAT", "z": "DT_INT64"}, {"y": [2.5], "z": [1]}),
        ([["a"]], {"y": "DT_STRING"}, {"y": [b"a"]}),
        ([[1.5, 2]], {"z": "DT_FLOAT"}, {"z": [1.5, 2]}),
    ],
)
def test_a_new_version_with_other_outputs(answers, now, expected):
    """The first answer fits int64 `y`; what comes then does not, and is read by the signatures of now."""
    after = [answer({"outputs": one}) for one in answers]
    acts = [_metadata(y="DT_INT64"), answer({"outputs": [7]}), *after, _metadata(**now), *after]
    with Scripted(*acts) as server, Client(server.url) as client:
        assert {"y": [7]} == {key: value.tolist() for key, value in client.predict("m", [1.0]).items()}
        assert expected == {key: value.tolist() for key, value in client.predict("m", [1.0]).items()}
        assert len(acts) == len(server.requests)


def test_an_answer_that_never_fits_is_not_asked_for_again_and_again():
    acts = [_metadata(y="DT_INT64"), answer({"outputs": [1.5]})]
    with Scripted(*acts) as server, Client(server.url) as client:
        with pytest.raises(ServingError, match=r"cannot be read[\s\S]*Output 'y'") as caught:
            client.predict("m", [1.0])
        assert (Code.INTERNAL, 2) == (caught.value.code, len(server.requests))


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


@both_kinds
@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:9"])
def test_no_server(kind, address):
    with pytest.raises(Unavailable, match=r"does not answer.[\s\S]*Received: [\s\S]*Next: start one"):
        ask(kind, address, "status", "half")


def test_the_wrong_port(server):
    with pytest.raises(Unavailable, match=r"Next: .*8500 is gRPC's usual port"):
        ask("sync", f"http://{server.grpc}", "status", "half", options={"attempts": 1})
    with pytest.raises(Unavailable, match=r"Next: .*REST addresses begin with http://"):
        ask("sync", server.rest.removeprefix("http://"), "status", "half", options={"attempts": 1})


def _driven(flow, *answers):
    """The result of a flow that is given these answers, and its pauses."""
    pauses, take, given = [], flow.send, None
    answers = iter(answers)
    while True:
        try:
            step = take(given)
        except StopIteration as end:
            return end.value, pauses
        take, given = flow.send, b""
        if isinstance(step, Pause):
            pauses.append(step.seconds)
            continue
        given = next(answers)
        if isinstance(given, Exception):
            take = flow.throw


def _call(*, repeatable=True):
    return Call("/x", None, lambda content: content.decode(), repeatable)


def test_only_unavailable_is_tried_again():
    found, pauses = _driven(retried(_call(), Deadline(60)), *[Unavailable("away")] * (ATTEMPTS - 1), b"here")
    assert ("here", ATTEMPTS - 1) == (found, len(pauses))
    assert all(0.05 * 2**i <= pause <= 0.15 * 2**i for i, pause in enumerate(pauses))
    with pytest.raises(Unavailable):
        _driven(retried(_call(), Deadline(60)), *[Unavailable("away")] * ATTEMPTS)
    with pytest.raises(ServingError, match="wrong"):
        _driven(retried(_call(), Deadline(60)), ServingError("wrong", Code.INTERNAL))
    with pytest.raises(Unavailable):
        _driven(retried(_call(repeatable=False), Deadline(60)), Unavailable("away"))


def test_the_time_limit_ends_the_tries():
    with pytest.raises(Unavailable):
        _driven(retried(_call(), Deadline(0.04)), Unavailable("away"))
    with pytest.raises(DeadlineExceeded, match=r"are over before it could be sent[\s\S]*Next: pass a larger timeout_s"):
        _driven(retried(_call(), Deadline(0)))


def test_threads_share_a_client(server):
    with Client(server.rest) as rest, Client(server.grpc) as rpc, ThreadPoolExecutor(8) as threads:
        for client in (rest, rpc):
            found = threads.map(lambda i, client=client: client.predict("half", np.float32([i]))["y"][0], range(40))
            assert [3 + i / 2 for i in range(40)] == list(found)
