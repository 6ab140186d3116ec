"""Sound inputs of every kind with a few bytes changed, sent to a server.

    python -m benchmarks.hostile.mutations COUNT REST_PORT GRPC_PORT SECONDS

Prints how many were answered how, by kind, and in the last line the processor seconds that it took. Input N is the same
in every run: `mutate(kinds()[N % len(kinds())], N)`.
"""

from __future__ import annotations

import io
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from benchmarks.hostile.attackers import CLASSIFY, PREDICT, Target, row
from benchmarks.hostile.content import mutated, sealed, wav

if TYPE_CHECKING:
    from collections.abc import Callable

_CLIENTS = 8
_UNKNOWN = "no answer"


@dataclass(frozen=True)
class Kind:
    """What is changed, and what it is then put into.

    Attributes:
        name: Of the kind.
        content: The sound bytes.
        wrap: Makes a request of changed bytes.
        model: Over REST; empty for gRPC.
        method: Over gRPC.
    """

    name: str
    content: bytes
    wrap: Callable[[bytes], bytes]
    model: str = ""
    method: str = ""


@cache
def kinds() -> list[Kind]:
    """Images of all formats, recordings, JSON, Examples and the messages of gRPC."""
    encoded = [Kind(name, content, row, "images") for name, content in _images().items()]
    encoded.append(Kind("PNG with right checksums", _images()["PNG"], lambda each: row(sealed(each)), "images"))
    encoded.append(Kind("WAV", wav(300), row, "recordings"))
    encoded.append(Kind("JSON", b'{"instances": [{"x": 1.5}, {"x": -2e3}], "signature_name": ""}', bytes, "numbers"))
    example = _example()
    request = _predict("examples", example)
    messages = [
        Kind("Example in a PredictRequest", example, lambda each: _predict("examples", each), method=PREDICT),
        Kind("PNG in a PredictRequest", _images()["PNG"], lambda each: _predict("images", each), method=PREDICT),
        Kind("WAV in a PredictRequest", wav(300), lambda each: _predict("recordings", each), method=PREDICT),
        Kind("PredictRequest of numbers", _numbers(), bytes, method=PREDICT),
        Kind("PredictRequest of an Example", request, bytes, method=PREDICT),
        Kind("ClassificationRequest", _classification(example), bytes, method=CLASSIFY),
        Kind("Example in a ClassificationRequest", example, _classification, method=CLASSIFY),
    ]
    return encoded + messages


@cache
def _images() -> dict[str, bytes]:
    from PIL import Image

    picture = Image.effect_noise((24, 17), 90).convert("RGB")
    options: dict[str, tuple[str, dict[str, Any]]] = {
        "PNG": ("PNG", {}),
        "JPEG": ("JPEG", {}),
        "progressive JPEG": ("JPEG", {"progressive": True}),
        "GIF": ("GIF", {"save_all": True, "append_images": [picture.rotate(90)]}),
        "BMP": ("BMP", {}),
        "WebP": ("WEBP", {}),
        "lossless WebP": ("WEBP", {"lossless": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
    }
    encoded = {}
    for name, (kind, arguments) in options.items():
        buffer = io.BytesIO()
        picture.save(buffer, kind, **arguments)
        encoded[name] = buffer.getvalue()
    return encoded


def _example() -> bytes:
    from tensorflow.core.example import example_pb2

    example = example_pb2.Example()
    example.features.feature["number"].float_list.value.extend([1.5, 2.5])
    example.features.feature["count"].int64_list.value.extend([1, -1, 2**40])
    example.features.feature["text"].bytes_list.value.extend([b"a", b"bc"])
    serialized: bytes = example.SerializeToString()
    return serialized


def _predict(model: str, content: bytes) -> bytes:
    from serving.wire import protos

    request = protos.load("apis.predict_pb2").PredictRequest()
    request.model_spec.name = model
    request.inputs["x"].dtype = 7
    request.inputs["x"].tensor_shape.dim.add().size = 1
    request.inputs["x"].string_val.append(content)
    serialized: bytes = request.SerializeToString()
    return serialized


def _numbers() -> bytes:
    import numpy as np

    from serving.wire import protos, tensor_proto

    request = protos.load("apis.predict_pb2").PredictRequest()
    request.model_spec.name = "numbers"
    tensor_proto.encode(np.float32([1.5, -2, 3]), request.inputs["x"])
    serialized: bytes = request.SerializeToString()
    return serialized


def _classification(example: bytes) -> bytes:
    """A message with an Example that may be none."""
    from serving.wire import protos

    request = protos.load("apis.classification_pb2").ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "examples", "classify"
    inner = b"\x0a" + _size(len(example)) + example
    head: bytes = request.SerializeToString()
    group = b"\x0a" + _size(len(inner)) + inner
    return head + b"\x12" + _size(len(group)) + group


def _size(value: int) -> bytes:
    return bytes([value & 127 | 128, value >> 7]) if value > 127 else bytes([value])  # noqa: PLR2004


class Sender:
    """Sends inputs by their number."""

    def __init__(self, target: Target) -> None:
        import grpc

        self._target = target
        self._channel = grpc.insecure_channel(f"127.0.0.1:{target.grpc}")
        self._calls = {method: self._channel.unary_unary(method) for method in (PREDICT, CLASSIFY)}

    def send(self, number: int) -> tuple[str, str]:
        """Sends input `number`; its kind and the status of its answer."""
        kind = kinds()[number % len(kinds())]
        request = kind.wrap(mutated(kind.content, number))
        if kind.model:
            return kind.name, str(self._target.post(kind.model, request) or _UNKNOWN)
        return kind.name, self._call(kind.method, request)

    def _call(self, method: str, request: bytes) -> str:
        import grpc

        try:
            self._calls[method](request, timeout=60)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    def close(self) -> None:
        """Ends the connections."""
        self._channel.close()


def main() -> None:
    """Sends all."""
    count, rest, grpc, _ = sys.argv[1:]
    sender = Sender(Target(int(rest), int(grpc), 0.0))
    with ThreadPoolExecutor(_CLIENTS) as threads:
        answers = Counter(threads.map(sender.send, range(int(count))))
    sender.close()
    for (kind, status), number in sorted(answers.items()):
        print(f"{kind}: {number} {status}")
    print(time.process_time())


if __name__ == "__main__":
    main()
