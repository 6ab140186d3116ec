"""`predict --file` on contents that end TensorFlow's decoders: rows without an answer, and the others answered."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.batch_inference.rows import predict_rows
from pipeline.features import audio, image
from serving.core.model import LoadedModel

JXL = b"\xff\x0a\xfe\xff\xff\xff\x0f\x82\xe2\x46\x00"  # ends TensorFlow 2.21
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0\x2f\xfe\xbf\xff\x0f\x07" + bytes(12)  # 805 MB


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (10, 20, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def wav(announced):
    form = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    data = b"data" + struct.pack("<I", announced) + bytes(200)
    return b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", 16) + form + data


CASES = {
    "images of any size": (lambda x: image.decode(x, (4, 4, 3), resize=True)[:, 0, 0, 0], png(), (JXL, WEBP)),
    "images of one size": (lambda x: image.decode(x, (7, 9, 3))[:, 0, 0, 0], png(), (JXL, WEBP)),
    "recordings": (lambda x: audio.decode(x, 50, 8000)[:, 0], wav(200), (JXL, wav(2**31 - 2))),
}


@pytest.mark.heavy
@pytest.mark.parametrize(("graph", "sound", "hostile"), CASES.values(), ids=CASES)
def test_a_hostile_row_has_no_answer_and_the_others_have(tmp_path, graph, sound, hostile):
    module = tf.Module()
    module.run = tf.function(lambda x: {"y": graph(x)}, input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    tf.saved_model.save(module, str(tmp_path), signatures=module.run)
    model = LoadedModel(tmp_path)
    rows = [{"x": content} for content in (sound, hostile[0], sound, hostile[1])]
    answers = list(predict_rows(rows, lambda inputs: model.predict("serving_default", inputs)))
    assert [False, True, False, True] == [isinstance(answer, str) for answer in answers]
    assert "Expected" in answers[1]
    assert np.array_equal(answers[0]["y"], answers[2]["y"])
