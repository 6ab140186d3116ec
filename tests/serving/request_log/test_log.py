"""The request log: what is kept, what happens when it cannot be, what a killed process leaves."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from serving import options
from serving.core.work import LogMetadata
from serving.errors import Code, DataLoss, InvalidArgument
from serving.request_log import records, tfrecord
from serving.request_log.files import model_folder
from serving.request_log.log import QueueBounds, RequestLog, from_config
from serving.wire import protos, tensor_proto

_ANSWERED = LogMetadata("m", 3, "serving_default", 0.5, 1_700_000_000)


def made(number=0, size=1):
    values = np.full(size, number, dtype=np.float32)
    return records.predict_log(_ANSWERED, {"x": values}, {"y": values})


def numbers(path):
    return [tensor_proto.decode(log.predict_log.request.inputs["x"], "x")[0] for log in records.read_logs(path)]


def files(base):
    return sorted(path for path in base.rglob("*.tfrecord"))


def everything(base):
    return [int(number) for path in files(base) for number in numbers(path)]


@pytest.fixture
def counted():
    return Counter()


@pytest.fixture
def make_log(tmp_path, counted):
    with contextlib.ExitStack() as stack:

        def make(bounds=None, per_model=None, seed=None, **settings):
            chosen = options.RequestLog(**{"folder": tmp_path / "log", "rate": 1.0, **settings})
            log = RequestLog(
                chosen, lambda model, code: counted.update([(model, code)]), per_model, seed, bounds or QueueBounds()
            )
            stack.callback(log.close)
            return log

        yield make


def test_what_is_put_can_be_read(make_log, tmp_path, counted):
    log = make_log()
    for number in range(20):
        log.put("m", lambda number=number: made(number))
    assert log.close()
    [path] = files(tmp_path / "log")
    assert tmp_path / "log" / "m" == path.parent
    assert path.name.endswith(f"Z-{os.getpid()}-0001.tfrecord")
    assert list(range(20)) == numbers(path)
    first = next(records.read_logs(path))
    assert ("m", 3, 0.5, 1_700_000_000, ["serve"]) == (
        first.log_metadata.model_spec.name,
        first.log_metadata.model_spec.version.value,
        first.log_metadata.sampling_config.sampling_rate,
        first.log_metadata.timestamp_secs,
        list(first.log_metadata.saved_model_tags),
    )
    assert {("m", Code.OK): 20} == counted
    assert not list(tmp_path.rglob("*.part"))


def test_rate_and_time_are_filled_in(make_log, tmp_path):
    log = make_log(rate=0.25)
    answered = LogMetadata("m", 3, "serving_default")
    begun = int(time.time())
    log.put("m", lambda: records.predict_log(answered, {}, {}))
    log.close()
    [found] = records.read_logs(files(tmp_path)[0])
    assert 0.25 == found.log_metadata.sampling_config.sampling_rate
    assert begun <= found.log_metadata.timestamp_secs <= begun + 60


def test_tensorflow_reads_the_same_records(tmp_path):
    path = tmp_path / "some.tfrecord"
    path.write_bytes(b"".join(map(tfrecord.frame, (b"one", b"", b"x" * 100_000))))
    import tensorflow as tf

    assert [3, 0, 100_000] == [len(one) for one in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]


@pytest.mark.process
def test_reading_does_not_import_tensorflow(tmp_path):
    path = tmp_path / "some.tfrecord"
    path.write_bytes(tfrecord.frame(made().SerializeToString()))
    code = (
        "import sys, pathlib\nfrom serving.request_log import records\n"
        "print(len(list(records.read_logs(pathlib.Path(sys.argv[1])))), 'tensorflow' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "1 False\n" == shown.stdout


@pytest.mark.parametrize("cut", [1, 11, 13, 40])
def test_a_damaged_file_says_so_after_the_records_before(tmp_path, cut):
    whole = tfrecord.frame(made(7).SerializeToString())
    path = tmp_path / "some.tfrecord"
    path.write_bytes(whole + whole[:cut])
    found = records.read_logs(path)
    assert "predict_log" == next(found).WhichOneof("log_type")
    with pytest.raises(DataLoss, match=f"offset {len(whole)} of"):
        next(found)


def test_a_flipped_bit_is_found(tmp_path):
    data = bytearray(tfrecord.frame(b"record"))
    data[14] ^= 1
    path = tmp_path / "some.tfrecord"
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(DataLoss):
        list(tfrecord.read_records(file))


def test_the_sample_has_the_rate_and_is_the_same_for_a_seed(make_log):
    first, second = make_log(rate=0.25, seed=7), make_log(rate=0.25, seed=7)
    chosen = [first.wants() for _ in range(4000)]
    assert chosen == [second.wants() for _ in range(4000)]
    assert 900 < sum(chosen) < 1100
    never, always = make_log(rate=0.0), make_log(rate=1.0)
    assert [False] * 50 == [never.wants() for _ in range(50)]
    assert [True] * 50 == [always.wants() for _ in range(50)]


def test_models_may_have_their_own_rate_and_folder(make_log, tmp_path):
    own = options.RequestLog(tmp_path / "own", rate=1.0)
    log = make_log(rate=0.0, per_model={"special": own})
    assert (False, True, 1.0) == (log.wants("m"), log.wants("special"), log.rate("special"))
    log.put("special", made)
    log.close()
    assert [tmp_path / "own" / "special"] == [path.parent for path in files(tmp_path)]


def test_a_file_that_is_full_is_followed_by_another(make_log, tmp_path):
    log = make_log(file_bytes=3000)
    for number in range(30):
        log.put("m", lambda number=number: made(number, 100))
    log.close()
    found = files(tmp_path)
    assert len(found) > 5
    assert max(path.stat().st_size for path in found) <= 3000
    assert list(range(30)) == everything(tmp_path)


def test_the_oldest_files_make_room(make_log, tmp_path):
    log = make_log(file_bytes=3000, total_bytes=12_000)
    for number in range(60):
        log.put("m", lambda number=number: made(number, 100))
    log.close()
    kept = everything(tmp_path)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 12_000
    assert list(range(60))[-len(kept) :] == kept
    assert 5 < len(kept) < 60


def test_a_file_is_published_after_a_while_though_it_is_small(make_log, tmp_path, wait_for):
    log = make_log(bounds=QueueBounds(age_seconds=0.05))
    log.put("m", lambda: made(5))
    wait_for(lambda: files(tmp_path))
    assert [5] == everything(tmp_path)
    log.put("m", lambda: made(6))
    wait_for(lambda: len(files(tmp_path)) == 2)


def test_a_full_queue_refuses_and_counts(make_log, tmp_path, counted):
    log = make_log(bounds=QueueBounds(records=3))
    begun, go = threading.Event(), threading.Event()

    def slow():
        begun.set()
        go.wait(20)
        return made()

    log.put("m", slow)
    begun.wait(20)
    for _ in range(10):  # three fit, while the writer is busy
        log.put("m", made)
    assert {("m", Code.RESOURCE_EXHAUSTED): 7} == counted
    go.set()
    log.close()
    assert 4 == counted["m", Code.OK] == len(everything(tmp_path))


def test_large_requests_fill_the_queue_by_their_size(make_log, counted):
    log = make_log(bounds=QueueBounds(queue_bytes=1000))
    begun, go = threading.Event(), threading.Event()
    log.put("m", lambda: (begun.set(), go.wait(20), made())[2])
    begun.wait(20)
    log.put("m", made, size=5000)  # alone it is taken
    log.put("m", made, size=500)
    assert 1 == counted["m", Code.RESOURCE_EXHAUSTED]
    go.set()
    log.close()
    assert 2 == counted["m", Code.OK]


def test_a_request_that_cannot_be_made_does_not_stop_the_log(make_log, tmp_path, counted):
    log = make_log()
    log.put("m", lambda: 1 / 0)
    log.put("m", lambda: made(2))
    log.close()
    assert {("m", Code.INTERNAL): 1, ("m", Code.OK): 1} == counted
    assert [2] == everything(tmp_path)


def test_after_the_end_nothing_is_taken(make_log, counted):
    log = make_log()
    log.close()
    log.put("m", made)
    assert {("m", Code.RESOURCE_EXHAUSTED): 1} == counted
    assert log.close()


@pytest.mark.parametrize(
    "name", ["../../escape", "..", ".", ".hidden", "a/b", "a\\b:c*", "\udcff", "é ü", "%2F", "", "x\0y"]
)
def test_no_name_leaves_the_folder(make_log, tmp_path, name):
    log = make_log()
    log.put(name, made)
    log.close()
    [path] = files(tmp_path)
    assert tmp_path / "log" == path.parent.parent
    assert not path.parent.name.startswith(".")


def test_different_names_have_different_folders(tmp_path):
    names = ["a/b", "a%2Fb", "..", "%2E.", ".", "", "%", "a", "A"]
    assert len(names) == len({model_folder(tmp_path, name) for name in names})


_KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from serving import options
from serving.core.work import LogMetadata
from serving.request_log import records
from serving.request_log.log import RequestLog
answered = LogMetadata("m", 3, "serving_default", 0.5, 1)
done = []
log = RequestLog(options.RequestLog(Path(sys.argv[1]), rate=1.0), lambda model, code: done.append(code))
for number in range(5):
    values = np.full(10, number, dtype=np.float32)
    log.put("m", lambda values=values: records.predict_log(answered, {"x": values}, {"y": values}))
while len(done) < 5:
    pass
[part] = Path(sys.argv[1]).glob("m/.*.part")
with part.open("ab") as file:
    file.write(b"torn off in the middle of a record")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.process
def test_what_a_killed_process_wrote_is_recovered(make_log, tmp_path):
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "log")], check=False)
    assert -signal.SIGKILL == killed.returncode
    assert [] == files(tmp_path)
    make_log().close()
    assert [0, 1, 2, 3, 4] == everything(tmp_path)
    assert not list(tmp_path.rglob("*.part"))


def test_a_file_in_use_is_left_alone(make_log, tmp_path, wait_for, counted):
    log = make_log()
    log.put("m", lambda: made(1))
    wait_for(lambda: counted["m", Code.OK])
    make_log().close()  # another worker starts
    assert [] == files(tmp_path)
    log.put("m", lambda: made(2))
    log.close()
    assert [1, 2] == everything(tmp_path)


def test_an_empty_left_over_is_deleted(make_log, tmp_path):
    part = tmp_path / "log" / "m" / ".20261121T101530Z-1-0001.tfrecord.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\x05\x00")
    make_log().close()
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_written_is_counted(make_log, tmp_path, counted):
    (tmp_path / "log").write_text("a file where the folder should be")
    log = make_log()
    log.put("m", made)
    log.close()
    assert {("m", Code.INTERNAL): 1} == counted


@pytest.fixture
def tiny_disk(tmp_path):
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=False).returncode:
        pytest.skip("this machine does not let root mount a disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.process
def test_a_full_disk_loses_records_but_no_file(make_log, tiny_disk, counted):
    log = make_log(folder=tiny_disk, bounds=QueueBounds(pause_seconds=0.0))
    for number in range(60):
        log.put("m", lambda number=number: made(number, 1000))
    log.close()
    kept = everything(tiny_disk)
    assert list(range(len(kept))) == kept
    assert 5 < len(kept) == counted["m", Code.OK] < 20
    assert 60 - len(kept) == counted["m", Code.RESOURCE_EXHAUSTED]


@pytest.mark.process
def test_when_the_disk_has_room_again_the_log_goes_on(make_log, tiny_disk, counted, wait_for):
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(b"x" * 60_000)
    log = make_log(folder=tiny_disk, bounds=QueueBounds(pause_seconds=0.0))
    log.put("m", lambda: made(1, 1000))
    wait_for(lambda: counted["m", Code.RESOURCE_EXHAUSTED])
    ballast.unlink()
    log.put("m", lambda: made(2, 1000))
    log.close()
    assert [2] == everything(tiny_disk)


_LIMITED = """
import json, resource, sys
from collections import Counter
from pathlib import Path
import numpy as np
from serving import options
from serving.core.work import LogMetadata
from serving.request_log import records
from serving.request_log.log import QueueBounds, RequestLog
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
answered = LogMetadata("m", 3, "serving_default", 0.5, 1)
counted = Counter()
settings = options.RequestLog(Path(sys.argv[1]), rate=1.0)
log = RequestLog(settings, lambda model, code: counted.update([code.name]), bounds=QueueBounds(pause_seconds=0.0))
for number in range(10):
    values = np.full(1000, number, dtype=np.float32)
    log.put("m", lambda values=values: records.predict_log(answered, {"x": values}, {"y": values}))
log.close()
print(json.dumps(counted))
"""


@pytest.mark.process
def test_a_limit_on_file_size_loses_single_records(tmp_path):
    shown = subprocess.run([sys.executable, "-c", _LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    counted = json.loads(shown.stdout)
    kept = everything(tmp_path)
    assert 10 == counted["OK"] + counted["RESOURCE_EXHAUSTED"]
    assert counted["OK"] == len(kept) >= 6
    assert sorted(kept) == kept


def test_the_disk_is_left_alone_for_a_while(make_log, tmp_path, counted):
    (tmp_path / "log").write_text("a file where the folder should be")
    log = make_log(bounds=QueueBounds(pause_seconds=3600))
    for _ in range(5):
        log.put("m", made)
    log.close()
    assert {("m", Code.INTERNAL): 1, ("m", Code.RESOURCE_EXHAUSTED): 4} == counted


def test_logs_of_examples():
    given = protos.load("apis.input_pb2").Input()
    given.example_list.examples.add().features.feature["x"].float_list.value.append(2)
    log = records.classify_log(_ANSWERED, given, [[(b"cat", 0.5), (b"dog", 0.25)]])
    assert [("cat", 0.5), ("dog", 0.25)] == [
        (one.label, one.score) for one in log.classify_log.response.result.classifications[0].classes
    ]
    assert [2] == list(log.classify_log.request.input.example_list.examples[0].features.feature["x"].float_list.value)
    log = records.regress_log(_ANSWERED, given, np.array([1.5], dtype=np.float32))
    assert [1.5] == [one.value for one in log.regress_log.response.result.regressions]
    assert ("m", "serving_default") == (
        log.regress_log.request.model_spec.name,
        log.regress_log.response.model_spec.signature_name,
    )


@pytest.mark.parametrize(
    ("method", "module", "request_type", "response_type", "field"),
    [
        ("Predict", "predict", "PredictRequest", "PredictResponse", "predict_log"),
        ("Classify", "classification", "ClassificationRequest", "ClassificationResponse", "classify_log"),
        ("Regress", "regression", "RegressionRequest", "RegressionResponse", "regress_log"),
        ("MultiInference", "inference", "MultiInferenceRequest", "MultiInferenceResponse", "multi_inference_log"),
    ],
)
def test_logs_of_calls(method, module, request_type, response_type, field):
    loaded = protos.load(f"apis.{module}_pb2")
    request, response = getattr(loaded, request_type)(), getattr(loaded, response_type)()
    spec = request.tasks.add().model_spec if method == "MultiInference" else request.model_spec
    spec.name = "m"
    log = records.from_messages(_ANSWERED, request, response)
    assert field == log.WhichOneof("log_type")
    assert request == getattr(log, field).request
    assert log == records.from_wire(_ANSWERED, method, request.SerializeToString(), response.SerializeToString())


def test_a_models_own_logging_config(tmp_path):
    base = options.RequestLog(tmp_path, rate=0.5, file_bytes=77)
    message = protos.load("config.logging_config_pb2").LoggingConfig()
    assert from_config(message, base) is None
    message.sampling_config.sampling_rate = 0.125
    message.log_collector_config.type = "tfrecord"
    message.log_collector_config.filename_prefix = "/logs/m"
    assert options.RequestLog(Path("/logs/m"), rate=0.125, file_bytes=77) == from_config(message, base)
    message.log_collector_config.type = "kafka"
    with pytest.raises(InvalidArgument, match="Cannot find LogCollector::Factory for type: kafka"):
        from_config(message, base)
    message.log_collector_config.type = ""
    message.sampling_config.sampling_rate = 1.5
    with pytest.raises(InvalidArgument, match=r"Received: 1\.5"):
        from_config(message, base)
