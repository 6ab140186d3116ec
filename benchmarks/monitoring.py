"""`keraspipe monitor` on tabular requests: seconds for a million, and peak memory compared with a tenth of them.

The log is what the server writes: one row per request, 14 columns as in Adult, with the predictions. 10,000 different
requests are repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Row, fresh, module
from pipeline.store.layout import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

REPEAT = 1
AT_MOST_S = 120.0
AT_MOST_PEAK = 1.1
REQUESTS = 1_000_000
SMALLER = 10
DIFFERENT = 10_000
PER_FILE = 50_000  # two files at least, and so two processes
TRAINING = 30_000
NAME = "table"
ANSWER = (0.3, 0.7)
NUMBERS = tuple(f"number_{i}" for i in range(6))
CATEGORIES = tuple(f"category_{i}" for i in range(8))


def measure(repeat: int) -> list[Row]:
    """Measures seconds and peak memory in MiB, including reading; the statistics of the training data exist before."""
    with fresh() as folder:
        publish(folder / "workspace")
        found: dict[int, list[dict[str, float]]] = {REQUESTS // SMALLER: [], REQUESTS: []}
        for count, measured in found.items():
            log(folder / str(count), count)
            for _ in range(repeat + 1):  # the first repeat computes the training statistics, with cold files
                measured.append(
                    json.loads(module("benchmarks.monitoring", folder / "workspace", folder / str(count))[1])
                )
    many, few = found[REQUESTS][1:], found[REQUESTS // SMALLER][1:]
    peaks = [[one["peak_mib"] for one in side] for side in (many, few)]
    return [
        Row(
            f"monitoring {REQUESTS:,} logged requests",
            "s",
            [one["seconds"] for one in many],
            at_most=AT_MOST_S,
            details={"processors": {"seconds": many[-1]["cpu_seconds"]}},
        ),
        Row("memory of that; of a tenth of the requests", "MiB", *peaks, at_most=AT_MOST_PEAK),
    ]


def rows(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Yields rows of numbers, some missing, and of categories with nine values."""
    import numpy as np

    random = np.random.default_rng(seed)
    for numbers, categories in zip(random.normal(size=(count, 6)), random.integers(9, size=(count, 8)), strict=True):
        numbers[0] = np.nan if numbers[0] > 2 else numbers[0]  # noqa: PLR2004
        yield dict(zip(NUMBERS, numbers.tolist(), strict=True)) | {
            name: b"value %d" % value for name, value in zip(CATEGORIES, categories, strict=True)
        }


def publish(workspace: Path) -> None:
    """Creates a workspace with a live version that was trained on such rows; the model itself is missing."""
    import numpy as np

    from pipeline.monitoring import predictions
    from pipeline.monitoring.profile import example_type
    from pipeline.store import champions, fileio, journal
    from serving.request_log import tfrecord

    examples = workspace / "artifacts" / NAME / "ingest" / "examples" / "1"
    (examples / "Split-train").mkdir(parents=True)
    fileio.write_json(examples / "report.json", {"rows": {"train": TRAINING}})
    with (examples / "Split-train" / "examples.tfrecord").open("wb") as file:
        for row in rows(0, TRAINING):
            example = example_type()()
            for name, value in row.items():
                kind = example.features.feature[name]
                (kind.bytes_list if isinstance(value, bytes) else kind.float_list).value.append(value)
            file.write(tfrecord.frame(example.SerializeToString()))
    Workspace(workspace).model(NAME, 1).mkdir(parents=True)
    champions.set_champion(Workspace(workspace), NAME, champions.ModelVersion(1, "digest", "run"))
    answered = np.tile(np.array(ANSWER, np.float32), (TRAINING, 1))
    predictions.save(Workspace(workspace).answers(NAME, "digest"), answered, "probabilities", ("no", "yes"))
    path = Workspace(workspace).run("run").journal
    path.parent.mkdir(parents=True)
    journal.append_event(path, "file", path=str((examples / "report.json").relative_to(workspace)), folder="data")
    signatures = {"serving_default": {"inputs": {name: {} for name in (*NUMBERS, *CATEGORIES)}}}
    journal.append_event(path, "register", signatures=signatures)


def log(folder: Path, count: int) -> None:
    """Creates a request log with a number of requests."""
    import numpy as np

    from serving.core import work
    from serving.request_log import tfrecord
    from serving.request_log.records import predict_log

    answered = work.LogMetadata(NAME, 1, "serving_default", 0.01, int(time.time()))
    outputs = {"label": np.array([b"yes"], object), "probabilities": np.array([ANSWER], np.float32)}
    records = []
    for row in rows(1, DIFFERENT):
        inputs = {name: np.array([one], object if isinstance(one, bytes) else np.float32) for name, one in row.items()}
        records.append(tfrecord.frame(predict_log(answered, inputs, outputs).SerializeToString()))
    content = b"".join(records)
    (folder / NAME).mkdir(parents=True)
    for number in range(count // PER_FILE):
        with (folder / NAME / f"20261121T100000Z-1-{number:04}.tfrecord").open("wb") as file:
            for _ in range(PER_FILE // DIFFERENT):
                file.write(content)


def main() -> None:
    """Monitors a log in this process and its children; prints seconds and peak memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workspace", type=Path)
    parser.add_argument("log", type=Path)
    options = parser.parse_args()
    started = time.monotonic()
    from pipeline.monitoring import monitor, traffic

    report = monitor.compare_requests(Workspace(options.workspace), NAME, options.log)
    seconds = time.monotonic() - started
    assert (report.status, report.rows) == ("quiet", int(options.log.name)), (report.rows, report.lines)
    own, child = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak = own + traffic.PROCESSES * child  # only the largest child's peak is known
    used = os.times()
    cpu = used.user + used.system + used.children_user + used.children_system
    found = {"rows": report.rows, "seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak}
    print(json.dumps({name: round(value, 1) for name, value in found.items()}))


if __name__ == "__main__":
    main()
