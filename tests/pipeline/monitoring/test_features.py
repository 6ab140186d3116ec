"""What kind a feature is, and what is measured of it."""

import io
import wave

import numpy as np
import pytest
from PIL import Image

from pipeline.monitoring import measures
from pipeline.monitoring.features import detect_role, measure


def png(pixels, kind="png"):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(buffer, kind)
    return buffer.getvalue()


def wav(samples, rate=8000):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.asarray(samples) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


GREY = png(np.full((6, 4), 51, np.uint8))
TONE = wav(np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000) / 2)


@pytest.mark.parametrize(
    ("values", "role"),
    [
        ([1.0, 2.5, None], "number"),
        ([1, 0, 1, 1], "category"),
        (list(range(500)), "number"),
        ([b"Checker Taxi", b"Blue Ribbon Taxi", b""], "category"),
        ([b"this is a longer text number %d" % i for i in range(9)], "text"),
        ([b"Taxi Affiliation Services Inc"] * 9, "category"),
        ([np.zeros(5, np.float32)], "vector"),
        ([GREY, GREY], "image"),
        ([TONE], "audio"),
        ([None, b""], ""),
    ],
)
def test_the_role_is_derived_from_the_values(values, role):
    assert role == detect_role(values)


def test_of_an_image_size_colours_and_format_are_measured():
    red = png(np.stack([np.full((6, 4), 255, np.uint8), *[np.zeros((6, 4), np.uint8)] * 2], axis=-1), "bmp")
    found = measures.measure_images([GREY, red, None, b"\x89PNG, damaged"])
    assert ["PNG L", "BMP RGB", None, "unreadable"] == found["format"]
    assert [4, 4] == found["width"][:2].tolist()
    assert [6, 6] == found["height"][:2].tolist()
    assert found["brightness"][:2] == pytest.approx([0.2, 1 / 3], abs=1e-6)
    assert [1, 0, 0] == [found[colour][1] for colour in measures.COLOURS]
    assert np.isnan(found["outline"][2:]).all()


BOMB = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (40_000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0" + bytes(4)


@pytest.mark.parametrize("content", [BOMB, b"\xff\x0a\xfe\xff\xff\xff\x0f\x82\xe2\x46\x00", b"II*\0" + bytes(20)])
def test_a_logged_image_that_means_ill_is_not_decoded(content, monkeypatch):
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("it was opened"))
    assert ["unreadable"] == measures.measure_images([content])["format"]


def test_a_logged_recording_without_a_rate_is_unreadable():
    assert ["unreadable"] == measures.measure_recordings([TONE[:24] + bytes(4) + TONE[28:]])["format"]


def test_an_image_of_16_bits_is_as_bright_as_it_looks():
    found = measures.measure_images([png(np.full((8, 8), 2**15, np.uint16))])
    assert found["brightness"] == pytest.approx([0.5], abs=0.01)


def test_of_a_recording_length_loudness_and_pitch_are_measured():
    found = measures.measure_recordings([TONE, b"RIFF....WAVE", None])
    assert ["WAV 8000 Hz, 1 channel", "unreadable", None] == found["format"]
    assert (1.0, pytest.approx(-9.03, abs=0.01)) == (found["seconds"][0], found["loudness"][0])
    assert found["centroid"][0] == pytest.approx(1000, rel=0.01)
    assert found["crossings"][0] == pytest.approx(2000, rel=0.01)


def test_of_a_text_its_words_are_measured():
    found = measures.measure_texts([b"It's <br />GOOD, good!", b"", None])
    assert [{"its", "good", "!"}, set(), set()] == found["vocabulary"]
    assert 4 == found["words"][0]
    assert np.isnan(found["words"][1:]).all()
    assert [2 / 3] == measures.unknown_share(found["vocabulary"][:1], frozenset({"good"})).tolist()


def test_of_a_vector_gaps_are_measured():
    found = measure("vector", [np.array([1.0, np.nan, 3.0, 4.0]), None])
    assert (8 / 3, 0.25) == (found["mean"][0], found["gaps"][0])
    assert np.isnan(found["mean"][1])
