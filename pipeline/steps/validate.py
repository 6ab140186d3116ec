"""Validate: raises an error for the anomalies that ExampleValidator finds, before the training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import anomalies_pb2

ANOMALIES_FILE = "SchemaDiff.pb"
SPLITS = ("train", "eval", "test")


def read_anomalies(folder: Path) -> dict[str, anomalies_pb2.Anomalies]:
    """Reads the anomalies of each split from ExampleValidator's output folder."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    anomalies = {}
    for split in SPLITS:
        content = (folder / f"Split-{split}" / ANOMALIES_FILE).read_bytes()
        anomalies[split] = anomalies_pb2.Anomalies.FromString(content)
    return anomalies


def describe_anomalies(anomalies: dict[str, anomalies_pb2.Anomalies]) -> list[str]:
    """Returns one line per anomaly: split, feature and description."""
    return [
        f"{split}: {feature or 'data set'}: {info.description or _describe_reasons(info)}"
        for split, split_anomalies in anomalies.items()
        for feature, info in sorted(split_anomalies.anomaly_info.items())
    ]


def _describe_reasons(info: anomalies_pb2.AnomalyInfo) -> str:
    """What TFDV says where it gives no description."""
    words = [reason.description or reason.short_description for reason in info.reason]
    return "; ".join(filter(None, words)) or info.short_description or "its domain in the schema does not fit"


def require_none(folder: Path, recipe: str) -> None:
    """Raises a PipelineError that lists the anomalies, if there are any."""
    lines = describe_anomalies(read_anomalies(folder))
    if lines:
        raise PipelineError(
            "The data do not fit the schema.",
            expected="values, types and columns like those of the first published run",
            received="\n  " + "\n  ".join(lines),
            action=f"correct the data, or see what changed with `keraspipe schema diff {recipe}` and accept it with "
            f"`keraspipe schema accept {recipe}`",
        )
