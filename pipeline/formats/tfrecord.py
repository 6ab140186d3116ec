"""TFRecord files of serialized `tf.train.Example`s, plain or compressed by gzip: as a data set, and by record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, unreadable_file
from pipeline.formats import table
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.formats.base import Example

EXPECTED = "TFRecord files of tf.train.Example, plain or .gz"
TEST_TIMES_FILE = "test_times.json"  # next to the splits: ISO time of the last step of each window of the test split
TABLES_FILE = "tables.npz"  # next to the splits: what the rows refer to
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class TfRecord:
    """TFRecord files. Raw inputs are the declared features of each `tf.train.Example`; absent or empty: missing.

    Args:
        path: File or pattern such as `train-*.gz`, absolute or under the data folder; files are read by name.
        columns: Kind of each input: "float", "int", "bytes", or "float[n]" for lists of numbers.
        label: Feature with the label.
        classes: Declared classes, the k-th for label k (or labels are their names); empty if the label is a number.
        test: File or pattern of the official test set; then `path` has the training rows.
        extra: Kind of other features, which clients do not send, for `Group` splits and slices.
        time: Feature with the date of each row, for `Time` splits.
        missing: Texts that mean a missing value.
    """

    path: str
    columns: Mapping[str, str]
    label: str
    classes: tuple[str, ...] = ()
    test: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    missing: tuple[str, ...] = ("",)

    @property
    def inputs(self) -> dict[str, str]:
        """The declared features."""
        return dict(self.columns)

    def files(self, data: Path) -> list[Path]:
        """Returns all files that match the patterns.

        Raises:
            PipelineError: There are none.
        """
        return [file for pattern in (self.path, self.test) if pattern for file in match_files(data, pattern)]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the records in the order of the files.

        Raises:
            PipelineError: A file is damaged.
        """
        layout = table.Layout.from_table(self)
        patterns = ((self.path, "train"), (self.test, "test")) if self.test else ((self.path, ""),)
        for pattern, split in patterns:
            for path in match_files(data, pattern):
                for number, (row, fault) in enumerate(self._rows(path), 1):
                    source = f"{path} record {number}"
                    yield (
                        layout.example(source, row, split) if not fault else table.faulty_example(source, split, fault)
                    )

    def _rows(self, path: Path) -> Iterator[tuple[dict[str, Any], str]]:
        from google.protobuf.message import DecodeError

        for content in read_records(path):
            try:
                row = parse_features(content)
            except DecodeError as error:
                yield {}, f"not a tf.train.Example: {error}"
                continue
            if self.classes and row.get(self.label) is not None:
                row[self.label] = table.encode_class(row[self.label], self.classes)
            yield row, ""


def match_files(data: Path, pattern: str) -> list[Path]:
    """Returns the files that match a pattern, by name.

    Raises:
        PipelineError: There are none.
    """
    whole = data / Path(pattern).expanduser()
    matches = sorted(path for path in whole.parent.glob(whole.name) if path.is_file())
    if not matches:
        raise PipelineError(
            f"There is no file {whole}.",
            expected=EXPECTED,
            received="nothing that matches",
            action="correct the recipe's path, or set KERASPIPE_DATA to the folder above it",
        )
    return matches


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


def encode_example(features: Mapping[str, Any]) -> bytes:
    """Serializes one row as `tf.train.Example`."""
    import numpy as np
    import tensorflow as tf

    example = tf.train.Example()
    feature = example.features.feature
    for name, value in features.items():  # filled in place, a table of many columns is written three times as fast
        if isinstance(value, bytes):
            feature[name].bytes_list.value.append(value)
        elif isinstance(value, float):
            feature[name].float_list.value.append(value)
        elif isinstance(value, int):
            feature[name].int64_list.value.append(value)
        elif len(value) and isinstance(value[0], bytes):
            feature[name].bytes_list.value.extend(value)
        elif isinstance(value, np.ndarray) and value.dtype.kind in "iu":
            feature[name].int64_list.value.extend(value.tolist())
        else:
            feature[name].float_list.value.extend(value)
    return example.SerializeToString(deterministic=True)


def write_tables(folder: Path, tables: Mapping[str, Any]) -> None:
    """Writes what the rows of the splits in a folder refer to (`Dataset.tables`), without pickle.

    Args:
        folder: Folder of the splits.
        tables: Arrays by name; text is of dtype "S…".
    """
    import numpy as np

    with fileio.replace_file(folder / TABLES_FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **tables)


def read_tables(folder: Path) -> dict[str, Any]:
    """Reads what `write_tables` wrote; nothing where a data set has no tables."""
    import numpy as np

    path = folder / TABLES_FILE
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
