"""Run the warm-up requests stored with a model before it receives real ones.

`assets.extra/tf_serving_warmup_requests` is a TFRecord file of `tensorflow.serving.PredictionLog`. The first call of a
graph compiles and allocates; done here, no client waits for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from serving.core import classify_regress, predict
from serving.core.model import LoadedModel
from serving.core.session import import_tensorflow
from serving.errors import Code, DataLoss, InvalidArgument, ServingError, Unimplemented
from serving.wire import protos, tensor_proto

if TYPE_CHECKING:
    from pathlib import Path

MAX_RECORDS = 1000
_LOG = logging.getLogger("keraspipe.serving")
Run = Callable[[LoadedModel, Any], None]
WarmupCallback = Callable[[str, Code, float, int], None]  # folder of the version, outcome, seconds, records


def ignore(path: str, code: Code, seconds: float, records: int) -> None:
    """A `WarmupCallback` that does nothing."""


def load_and_warm_up(path: Path) -> LoadedModel:
    """A version's folder, loaded and warmed up with nothing set."""
    return warm_up(LoadedModel(path))


def warm_up(model: LoadedModel, iterations: int = 1, warmed: WarmupCallback = ignore) -> LoadedModel:
    """The model after `run_requests`; closed if that fails."""
    try:
        run_requests(model, iterations, warmed)
    except BaseException:
        model.close()
        raise
    return model


def run_requests(model: LoadedModel, iterations: int = 1, warmed: WarmupCallback = ignore) -> int:
    """Run a model's own warm-up file, if it has one.

    Args:
        model: The loaded model.
        iterations: How often each request is run; 0 for once.
        warmed: Called with the outcome, if there is a file.

    Returns:
        How many records were run.

    Raises:
        ServingError: A damaged file, too many records, or a request that fails; the model is then not served.
    """
    path = model.path / "assets.extra" / "tf_serving_warmup_requests"
    if not path.is_file():
        return 0
    began, records, code = time.monotonic(), 0, Code.UNKNOWN
    try:
        for record in read_records(path):
            _run_record(model, record, path, max(iterations, 1))
            records += 1
        code = Code.OK
    except ServingError as error:
        code = error.code
        raise
    finally:
        seconds = time.monotonic() - began
        warmed(str(model.path), code, seconds, records)
    _LOG.info("%s: %s warm-up requests in %.1f s", model.path, records, seconds)
    return records


def read_records(path: Path) -> list[bytes]:
    """The records of a warm-up file.

    Raises:
        DataLoss: It is no TFRecord file.
        InvalidArgument: More than 1000 records.
    """
    tf = import_tensorflow()
    try:
        with tf.device("/CPU:0"):
            dataset = tf.data.TFRecordDataset(str(path)).take(MAX_RECORDS + 1).as_numpy_iterator()
            records = list(dataset)
    except tf.errors.DataLossError as error:
        raise DataLoss(f"{error.message}. Please verify your warmup data is in TFRecord format.") from error
    except tf.errors.OpError as error:
        raise InvalidArgument(f"The warmup data at {path} cannot be read: {error.message}") from error
    if len(records) > MAX_RECORDS:
        raise InvalidArgument(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}")
    return records


def _run_record(model: LoadedModel, record: bytes, path: Path, iterations: int) -> None:
    from google.protobuf.message import DecodeError

    try:
        log = protos.load("apis.prediction_log_pb2").PredictionLog.FromString(record)
    except DecodeError as error:
        raise InvalidArgument(f"Failed to parse warmup record: {record[:64]!r} from {path}") from error
    kind = log.WhichOneof("log_type")
    if kind not in _KINDS:
        number = log.DESCRIPTOR.fields_by_name[kind].number if kind else 0
        raise Unimplemented(f"Unsupported log_type for warmup: {number}")
    for _ in range(iterations):
        _KINDS[kind](model, getattr(log, kind).request)


def _run_predict(model: LoadedModel, request: Any) -> None:
    inputs = {name: tensor_proto.decode(value, name) for name, value in request.inputs.items()}
    predict.run(model, request.model_spec.signature_name, inputs, list(request.output_filter))


def _run_method(method: str) -> Run:
    def run_one(model: LoadedModel, request: Any) -> None:
        classify_regress.run(
            model,
            [classify_regress.check(model, method, request.model_spec.signature_name)],
            classify_regress.examples(request.input),
        )

    return run_one


def _run_multi_inference(model: LoadedModel, request: Any) -> None:
    classify_regress.run(model, classify_regress.tasks(model, request), classify_regress.examples(request.input))


_KINDS: dict[str | None, Run] = {
    "predict_log": _run_predict,
    "classify_log": _run_method(classify_regress.CLASSIFY),
    "regress_log": _run_method(classify_regress.REGRESS),
    "multi_inference_log": _run_multi_inference,
}
