"""Reads TFRecord files, and the values of a serialized `tf.train.Example`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import unreadable_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

EXPECTED = "TFRecord files of tf.train.Example, plain or .gz"
TEST_TIMES_FILE = "test_times.json"  # next to the splits: ISO time of the last step of each window of the test split
GZIP = b"\x1f\x8b"


def read_records(path: Path) -> Iterator[bytes]:
    """Yields the records of a file.

    Raises:
        PipelineError: The file is damaged; the checksum of every record is verified.
    """
    import tensorflow as tf

    with path.open("rb") as file:
        compression = "GZIP" if file.read(2) == GZIP else ""
    try:
        for record in tf.data.TFRecordDataset(str(path), compression):
            yield record.numpy()
    except tf.errors.OpError as error:
        raise unreadable_file(path, EXPECTED, error) from error


def parse_features(content: bytes, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns values by name: None for an empty list, the value of a list of length 1, else the list.

    Args:
        content: A serialized example.
        names: The features to read, if they exist; None for all.

    Raises:
        DecodeError: This is no serialized `tf.train.Example`.
    """
    from tensorflow.train import Example as Record

    feature_map = Record.FromString(content).features.feature
    wanted = feature_map if names is None else [name for name in names if name in feature_map]
    return {name: _feature_value(feature_map[name]) for name in wanted}


def _feature_value(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    return values if len(values) > 1 else values[0] if values else None
