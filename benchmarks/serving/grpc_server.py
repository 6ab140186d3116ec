"""A plain grpc.aio server on the generated stubs and the same callable, as TensorFlow's documents put one together.

python -m benchmarks.serving.grpc_server MODEL_FOLDER PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc.aio
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.serving.session import Session


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers Predict."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - gRPC's names
        """One call of the session."""
        outputs = self._session(tf.make_ndarray(request.inputs[self._session.input]))
        response = predict_pb2.PredictResponse()
        for name, array in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return response


async def serve(session: Session, port: int) -> None:
    """Serves until it is stopped."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(session), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Session(sys.argv[1]), int(sys.argv[2])))
