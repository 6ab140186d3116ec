"""What a model's training data look like: how each feature is counted, and what the training data count there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline.monitoring.axis import Axis
from pipeline.monitoring.feature import Feature
from pipeline.monitoring.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Frame:
    """Training data as they are compared with.

    Attributes:
        features: How each feature is counted.
        training: What the training data count.
        total: Rows that the training data have in all.
    """

    features: tuple[Feature, ...]
    training: Profile
    total: int

    @property
    def axes(self) -> list[Axis]:
        """The axes of all features."""
        return [axis for feature in self.features for axis in feature.axes]

    def as_json(self) -> dict[str, Any]:
        """The frame as JSON."""
        features = [{**asdict(one), "vocabulary": sorted(one.vocabulary)} for one in self.features]
        return {"features": features, "training": self.training.as_json(), "total": self.total}

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Frame:
        """The frame that `as_json` gave."""
        features = tuple(_feature(one) for one in found["features"])
        return cls(features, Profile.of_json(found["training"]), found["total"])


def _feature(found: Mapping[str, Any]) -> Feature:
    axes = tuple(Axis(one["feature"], one["name"], one["kind"], tuple(one["points"])) for one in found["axes"])
    basis = tuple(map(tuple, found["basis"]))
    vocabulary = frozenset(found["vocabulary"])
    return Feature(found["name"], found["role"], axes, tuple(found["center"]), basis, vocabulary)
