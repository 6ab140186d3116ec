"""Average precision against pycocotools."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.metrics import detection
from pipeline.evaluation.metrics.detection import COCO_THRESHOLDS, Boxes

CLASSES = (0, 1, 2)


def random_boxes(random, count):
    corner = random.uniform(0, 80, (count, 2))
    return np.concatenate([corner, corner + random.uniform(4, 40, (count, 2))], axis=1)


def picture(random):
    """True boxes, and detections near some of them and elsewhere; scores repeat."""
    truth = Boxes.from_arrays(
        random_boxes(random, random.integers(0, 6)), random.integers(0, 3, 6)[: random.integers(0, 6)]
    )
    truth = Boxes.from_arrays(truth.boxes[: len(truth.classes)], truth.classes[: len(truth.boxes)])
    near = truth.boxes + random.normal(0, 3, truth.boxes.shape)
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    boxes = np.concatenate([near, random_boxes(random, 4)])
    kinds = np.concatenate([truth.classes, random.integers(0, 3, 4)]).astype(int)
    return truth, Boxes.from_arrays(boxes, kinds, random.integers(1, 8, len(boxes)) / 8)


def of_pycocotools(pictures, *, most=100):
    """The mean precision over thresholds, recalls and classes: at all thresholds, and at 0.5."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = [], []
    for number, (one, other) in enumerate(pictures, 1):
        for box, kind in zip(one.boxes, one.classes, strict=True):
            sides = to_coco(box)
            truth.append({"id": len(truth) + 1, "image_id": number, "category_id": int(kind), "bbox": sides})
            truth[-1] |= {"area": sides[2] * sides[3], "iscrowd": 0}
        for box, kind, score in zip(other.boxes, other.classes, other.scores, strict=True):
            found.append({"image_id": number, "category_id": int(kind), "bbox": to_coco(box), "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        images = [{"id": number} for number in range(1, len(pictures) + 1)]
        coco.dataset = {"images": images, "annotations": truth, "categories": [{"id": kind} for kind in CLASSES]}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (thresholds, recalls, classes)
    return [float(part[part > -1].mean()) if (part > -1).any() else math.nan for part in (precision, precision[:1])]


def to_coco(box):
    top, left, bottom, right = (float(side) for side in box)
    return [left, top, right - left, bottom - top]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_average_precision_is_that_of_pycocotools(seed):
    random = np.random.default_rng(seed)
    pictures = [picture(random) for _ in range(6)]
    truth, found = zip(*pictures, strict=True)
    own = [
        detection.average_precision(truth, found, CLASSES, thresholds).value for thresholds in (COCO_THRESHOLDS, (0.5,))
    ]
    np.testing.assert_allclose(of_pycocotools(pictures), own, atol=1e-9)


def test_a_class_without_boxes_does_not_count_and_an_empty_picture_is_no_error():
    empty = Boxes.from_arrays(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    box = Boxes.from_arrays(np.array([[0, 0, 1, 1]]), np.array([0]), np.array([0.9]))
    measured = detection.average_precision([box, empty], [box, empty], CLASSES)
    assert measured.value == 1.0
    assert math.isnan(measured.over(np.array([1])))
    assert detection.average_precision([box, empty], [box, box], CLASSES).value == pytest.approx(1.0)
    assert detection.average_precision([box], [empty], CLASSES).value == 0.0


def test_boxes_without_area_overlap_with_nothing():
    flat, whole = np.array([[0.5, 0.5, 0.5, 0.9]]), np.array([[0.0, 0.0, 1.0, 1.0]])
    assert detection.intersections_over_unions(flat, whole).tolist() == [[0.0]]
    assert detection.intersections_over_unions(flat, flat).tolist() == [[0.0]]
