"""A workspace with a live model, as far as monitoring sees it, and request logs by the server's own writer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  (the dataclass)
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.monitoring.monitor import compare_requests
from pipeline.monitoring.profile import example_type
from pipeline.store import champions, fileio, journal
from pipeline.store.layout import Workspace
from serving.core.work import LogMetadata
from serving.request_log import files, records, tfrecord
from serving.request_log.files import LogWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipeline.monitoring.report import Report


def example(row: Mapping[str, Any]) -> Any:
    """A row as `tf.train.Example`."""
    found = example_type()()
    for name, value in row.items():
        feature = found.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        elif value is not None:
            feature.float_list.value.extend(np.atleast_1d(value))
    return found


def ingested(examples: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """The artifact that ingest leaves, with a training split only."""
    records = [example(row).SerializeToString() for row in rows]
    (examples / "Split-train").mkdir(parents=True)
    (examples / "Split-train" / "examples.tfrecord").write_bytes(b"".join(map(tfrecord.frame, records)))
    fileio.write_json(examples / "report.json", {"rows": {"train": len(records)}})
    return examples


def tensor(value: Any) -> np.ndarray:
    """A value as the tensor of one row."""
    if isinstance(value, bytes):
        return np.array([value], object)
    return np.asarray([value], np.int64 if isinstance(value, int) else np.float32)


@dataclass(frozen=True)
class Live:
    """A live model and its request log."""

    workspace: Path
    name: str
    inputs: tuple[str, ...]

    @property
    def log(self) -> Path:
        return self.workspace / "request-log"

    def publish(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Makes a model live that has learnt from these rows."""
        examples = ingested(self.workspace / "artifacts" / self.name / "ingest" / "examples" / "1", rows)
        Workspace(self.workspace).model(self.name, 1).mkdir(parents=True)
        champions.set_champion(Workspace(self.workspace), self.name, champions.ModelVersion(1, "digest", "run"))
        path = Workspace(self.workspace).run("run").journal
        path.parent.mkdir(parents=True)
        journal.append_event(
            path, "file", path=str((examples / "report.json").relative_to(self.workspace)), folder="data"
        )
        journal.append_event(path, "register", signatures={"serving_default": {"inputs": dict.fromkeys(self.inputs)}})

    def send(self, rows: Iterable[Mapping[str, Any]], log: Path | None = None) -> Path:
        """Logs one request for each row; returns the log's folder."""
        target = log or self.log
        answered = LogMetadata(self.name, 1, "serving_default", 1.0, int(time.time()))
        writer = LogWriter(files.model_folder(target, self.name), 1 << 20)
        for row in rows:
            inputs = {name: tensor(row[name]) for name in self.inputs if name in row}
            writer.write(records.predict_log(answered, inputs, {}).SerializeToString())
        writer.close()
        return target

    def monitored(self, log: Path | None = None, **options: Any) -> Report:
        return compare_requests(Workspace(self.workspace), self.name, log or self.log, **options)


@pytest.fixture
def live(tmp_path) -> Callable[..., Live]:
    """Makes a model live."""

    def make(rows: Iterable[Mapping[str, Any]], inputs: tuple[str, ...], name: str = "model") -> Live:
        found = Live(tmp_path / "workspace", name, inputs)
        found.publish(rows)
        return found

    return make
