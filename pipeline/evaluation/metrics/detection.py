"""Average precision of detected boxes, as the COCO evaluation defines it.

Source: T.-Y. Lin et al., Microsoft COCO: Common objects in context, ECCV 2014; the evaluation of pycocotools
(`COCOeval`): detections of a class are matched to the true boxes in the order of their scores, and precision is read at
101 values of recall. Up to 100 detections of a picture count; there are no crowds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.bootstrap import Statistic

RECALLS = np.linspace(0, 1, 101)
COCO_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
SMALLEST = 1e-10
MOST_DETECTIONS = 100


@dataclass(frozen=True)
class Boxes:
    """The boxes of one picture.

    Attributes:
        boxes: (boxes, 4): ymin, xmin, ymax, xmax.
        classes: Class of each box, (boxes,): numbers or names.
        scores: How sure the detector is, (boxes,); of true boxes empty.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    @classmethod
    def from_arrays(cls, boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray | None = None) -> Boxes:
        """Returns the boxes (boxes, 4) of one picture, with or without scores."""
        return cls(np.reshape(boxes, (-1, 4)), np.asarray(classes), np.zeros(0) if scores is None else scores)


Matches = Mapping[object, tuple[np.ndarray, np.ndarray, int]]


def average_precision(
    truth: Sequence[Boxes],
    predicted: Sequence[Boxes],
    classes: Sequence[object],
    thresholds: Sequence[float] = (0.5,),
) -> Statistic:
    """Returns the mean average precision over classes and thresholds; a class without a true box does not count.

    Args:
        truth: The true boxes of each picture.
        predicted: The detected ones.
        classes: The classes.
        thresholds: Intersection over union from which a detection matches.
    """
    matched = [
        [_match_picture(own, other, classes, least) for own, other in zip(truth, predicted, strict=True)]
        for least in thresholds
    ]

    def over(rows: np.ndarray) -> float:
        values = [_precision([matches[row][name] for row in rows]) for matches in matched for name in classes]
        known = [value for value in values if not math.isnan(value)]
        return float(np.mean(known)) if known else math.nan

    return Statistic(len(truth), over)


def _match_picture(truth: Boxes, predicted: Boxes, classes: Sequence[object], least: float) -> Matches:
    """Returns by class the scores of the detections, whether each one is right, and the number of true boxes."""
    order = np.argsort(-predicted.scores, kind="stable")[:MOST_DETECTIONS]
    result = {}
    for name in classes:
        places = order[predicted.classes[order] == name]
        boxes = truth.boxes[truth.classes == name]
        result[name] = predicted.scores[places], _match(predicted.boxes[places], boxes, least), len(boxes)
    return result


def _match(detections: np.ndarray, boxes: np.ndarray, least: float) -> np.ndarray:
    """Returns whether each detection, the surest first, takes a free true box of enough overlap: the best one."""
    overlaps = intersections_over_unions(detections, boxes)
    free, right = np.ones(len(boxes), bool), np.zeros(len(detections), bool)
    for row, values in enumerate(overlaps):
        open_values = np.where(free, values, -1.0)
        if len(boxes) and open_values.max() >= min(least, 1 - SMALLEST):
            best = len(boxes) - 1 - int(open_values[::-1].argmax())  # of equal ones the last, as in pycocotools
            free[best], right[row] = False, True
    return right


def intersections_over_unions(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the intersection over union of each pair of boxes (n, 4) and (m, 4): (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=-1)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    return np.divide(both, union, out=np.zeros_like(both, dtype=np.float64), where=union > 0)


def _precision(pictures: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> float:
    """Returns the average precision of one class; NaN without a true box."""
    count = sum(boxes for _, _, boxes in pictures)
    if not count:
        return math.nan
    scores, right = (np.concatenate([picture[part] for picture in pictures]) for part in (0, 1))
    hits = np.cumsum(right[np.argsort(-scores, kind="stable")])
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]  # the best precision at this recall or a higher one
    places = np.searchsorted(hits / count, RECALLS, side="left")
    return float(np.append(envelope, 0.0)[np.minimum(places, len(hits))].mean())
