"""The attackers' inputs are what they say."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from benchmarks.hostile import content
from benchmarks.hostile.mutations import kinds
from serving.wire import protos
from serving.wire.image_header import count_pixels

MODULES = {"Predict": ("predict", "PredictRequest"), "Classify": ("classification", "ClassificationRequest")}


def parse(method, message):
    module, kind = MODULES[method]
    return getattr(protos.load(f"apis.{module}_pb2"), kind).FromString(message)


def test_messages_of_many_parts():
    request = parse("Predict", content.texts_message(1000))
    assert ("texts", [b""] * 1000) == (request.model_spec.name, list(request.inputs["x"].string_val))
    assert 1000 == len(parse("Classify", content.examples_message(1000)).input.example_list.examples)
    tensor = parse("Predict", content.zeros_message(400)).inputs["x"]
    assert (100, bytes(400)) == (tensor.tensor_shape.dim[0].size, tensor.tensor_content)


def test_a_bmp_announces_its_pixels():
    assert 40_000**2 == count_pixels(content.bmp(40_000))
    Image.open(io.BytesIO(content.bmp(1))).load()


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind.method], ids=lambda kind: kind.name)
def test_messages_are_sound_before_they_are_changed(kind):
    request = parse(kind.method.rpartition("/")[2], kind.wrap(kind.content))
    assert request.model_spec.name in {"numbers", "images", "recordings", "examples"}


def test_changes_are_the_same_in_every_run_and_a_seal_is_right():
    png = content.png(8)
    assert content.mutated(png, 7) == content.mutated(png, 7) != png
    damaged = bytearray(png)
    damaged[19] = 9  # the width
    sealed = content.sealed(bytes(damaged))
    assert 72 == count_pixels(sealed)
    Image.open(io.BytesIO(sealed)).verify()
    assert png == content.sealed(png)
