"""Validate: ExampleValidator finds anomalies; here they become an error before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import anomalies_pb2

FILE = "SchemaDiff.pb"
SPLITS = ("train", "eval", "test")


def read(folder: Path) -> dict[str, anomalies_pb2.Anomalies]:
    """The anomalies of each split from ExampleValidator's output folder."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    found = {}
    for split in SPLITS:
        content = (folder / f"Split-{split}" / FILE).read_bytes()
        found[split] = anomalies_pb2.Anomalies.FromString(content)
    return found


def describe(anomalies: dict[str, anomalies_pb2.Anomalies]) -> list[str]:
    """One line per anomaly: split, feature, and what is wrong with it."""
    return [
        f"{split}: {feature or 'data set'}: {info.description}"
        for split, found in anomalies.items()
        for feature, info in sorted(found.anomaly_info.items())
    ]


def require_none(folder: Path, recipe: str) -> None:
    """Raises a PipelineError that lists the anomalies, if there are any."""
    lines = describe(read(folder))
    if lines:
        raise PipelineError(
            "The data do not fit the schema.",
            expected="values, types and columns like those of the first published run",
            received="\n  " + "\n  ".join(lines),
            action=f"mend the data, or see what changed with `keraspipe schema diff {recipe}` and take it over with "
            f"`keraspipe schema accept {recipe}`",
        )
