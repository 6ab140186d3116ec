"""EfficientNet-Lite0: the shape of the network, and what its weights have learned."""

from __future__ import annotations

import numpy as np
import pytest

from models import _efficientnet_lite0
from pipeline.errors import PipelineError

PALACE, DAISY = 698, 985  # numbers of ImageNet's classes


def test_shape_and_size():
    network = _efficientnet_lite0.backbone((64, 96, 3))
    assert (None, 2, 3, 1280) == network.output_shape
    assert 3_413_024 == network.count_params()  # the paper's 4.7 million less the last layer's 1.3


@pytest.mark.parametrize(("photograph", "expected"), [("china.jpg", PALACE), ("flower.jpg", DAISY)])
def test_photographs_are_what_they_show(photograph, expected):
    from PIL import Image
    from sklearn.datasets import load_sample_image

    network = _efficientnet_lite0.backbone((224, 224, 3))
    _efficientnet_lite0.load_imagenet(network)
    pixels = load_sample_image(photograph)  # (427, 640, 3)
    square = Image.fromarray(pixels[:, 106:533]).resize((224, 224), Image.Resampling.BICUBIC)
    features = network(np.asarray(square, np.float32)[np.newaxis], training=False).numpy().mean(axis=(1, 2))
    top = _efficientnet_lite0.read_torch_file(_efficientnet_lite0.weights_file())
    assert expected == np.argmax(features @ top["_fc.weight"].T + top["_fc.bias"])


def test_weights_are_read_anew_into_any_size():
    networks = [_efficientnet_lite0.backbone((side, side, 3)) for side in (32, 64)]
    for network in networks:
        _efficientnet_lite0.load_imagenet(network)
    for one, other in zip(*(network.weights for network in networks), strict=True):
        assert np.array_equal(one, other)


def test_missing_package_is_said(monkeypatch):
    monkeypatch.setattr(_efficientnet_lite0, "MODULE", "no_such_package")
    with pytest.raises(PipelineError, match=r"Next: .*make setup"):
        _efficientnet_lite0.weights_file()
