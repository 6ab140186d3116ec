"""WAV files: what is taken, what the graph makes of it, and its spectrograms."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.features import audio

RATE = 8000
SAMPLES = 400


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content


def wav(
    samples=None, *, bits=16, rate=RATE, code=1, header=16, before=b"", between=b"", after=b"", data_size=None
) -> bytes:
    """The bytes of a WAV file; `samples` are int16, (length,) or (length, channels)."""
    values = np.arange(-50, 50, dtype="<i2") if samples is None else np.asarray(samples, "<i2")
    channels = 1 if values.ndim == 1 else values.shape[1]
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits).ljust(header, b"\0")
    data = values.tobytes() if bits == 16 else bytes(frame * len(values))
    size = len(data) if data_size is None else data_size
    body = b"WAVE" + before + chunk(b"fmt ", form) + between + b"data" + struct.pack("<I", size) + data + after
    return chunk(b"RIFF", body)


def read(content: bytes) -> tuple[np.ndarray, int] | None:
    """What TensorFlow reads; None where it does not."""
    try:
        values, rate = tf.audio.decode_wav(content)
    except tf.errors.InvalidArgumentError:
        return None
    return values.numpy(), int(rate)


@pytest.mark.parametrize(
    "content",
    [
        wav(),
        wav(np.zeros((30, 2))),
        wav(np.zeros((30, 3))),
        wav(header=18),
        wav(before=chunk(b"JUNK", b"1234"), between=chunk(b"LIST", b"12")),
        wav(np.zeros((30, 2)), before=chunk(b"bext", b"123456"), header=18),
        wav(after=chunk(b"LIST", b"1234")),
        wav([0]),
    ],
    ids=["plain", "stereo", "three", "header 18", "chunks before", "all", "chunk behind", "one sample"],
)
def test_what_is_sound_is_read(content):
    assert audio.fault(content, RATE) == ""
    assert read(content) is not None


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not a WAV file"),
        (b"RIFX" + wav()[4:], "not a WAV file"),
        (wav()[:12], "not a readable WAV file: its format chunk is not the first"),
        (wav()[:30], "not a readable WAV file: it ends within its header"),
        (wav()[:36], "not a readable WAV file: its chunks are damaged"),
        (wav()[:41], "not a readable WAV file: its chunks are damaged"),
        (wav()[:-1], "truncated: 199 of 200 bytes of samples"),
        (wav()[:44], "truncated: 0 of 200 bytes of samples"),
        (wav(data_size=2**32 - 1), "not a readable WAV file: its chunks are damaged"),
        (wav(after=b"LIS"), "not a readable WAV file: its chunks are damaged"),
        (wav(after=chunk(b"data", b"12")), "not a readable WAV file: its chunks are damaged"),
        (wav(before=chunk(b"LIST", b"1234")), "not a readable WAV file: its format chunk is not the first"),
        (wav(bits=8), "8 bits per sample, expected 16"),
        (wav(bits=24), "24 bits per sample, expected 16"),
        (wav(bits=32), "32 bits per sample, expected 16"),
        (wav(bits=32, code=3), "WAV of format 3 in a header of 16 bytes, expected 1 (PCM) in 16 or 18"),
        (wav(code=0xFFFE, header=40), "WAV of format 65534 in a header of 40 bytes, expected 1 (PCM) in 16 or 18"),
        (wav(np.zeros((30, 0))), "not a readable WAV file: 0 channels, but 0 bytes per frame, 0 per s"),
        (wav(np.zeros(0)), "no samples"),
        (wav(data_size=199)[:-1], "ends within a sample"),
        (wav(rate=44100), "sample rate 44100 Hz, expected 8000 Hz"),
        (wav(rate=0), "sample rate 0 Hz, expected 8000 Hz"),
    ],
)
def test_what_is_not_says_why(content, fault):
    assert audio.fault(content, RATE).startswith(fault)


SOUND = [wav(), wav(np.zeros((9, 2)), header=18), wav(before=chunk(b"JUNK", b"123"), after=chunk(b"LIST", b"12"))]


@given(st.sampled_from(SOUND), st.lists(st.tuples(st.integers(0, 70), st.integers(0, 255)), max_size=4), st.integers(0))
@example(wav(between=chunk(b"LIST", b"123") + b"\0"), [], 0)  # the padding that TensorFlow does not know
@example(wav(), [(4, 0), (5, 0)], 0)  # the size of the whole, which nobody reads
def test_whatever_is_taken_tensorflow_reads(content, changes, cut):
    damaged = bytearray(content)
    for at, byte in changes:
        damaged[at % len(content)] = byte
    damaged = bytes(damaged[: len(content) - cut % len(content)])
    if audio.fault(damaged, RATE) == "":
        values, rate = read(damaged) or pytest.fail("TensorFlow does not read it")
        assert rate == RATE
        assert values.size > 0


@given(st.binary(max_size=120))
def test_any_bytes_get_an_answer(content):
    assert audio.fault(content, RATE)
    assert audio.fault(b"RIFF....WAVE" + content, RATE)


@pytest.fixture(scope="module")
def decode():
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def graph(audio_bytes):
        return audio.decode(audio_bytes, SAMPLES, RATE)

    return graph


def test_short_ones_are_filled_and_long_ones_cut(decode):
    short, long = np.arange(-50, 50), np.arange(SAMPLES + 7)
    found = decode([wav(short), wav(long), wav(np.arange(SAMPLES))]).numpy()
    np.testing.assert_array_equal(np.pad(short, (0, SAMPLES - 100)) / 2**15, found[0])
    np.testing.assert_array_equal(np.arange(SAMPLES) / 2**15, found[1])
    np.testing.assert_array_equal(np.arange(SAMPLES) / 2**15, found[2])


@given(st.lists(st.tuples(st.integers(-(2**15), 2**15 - 1), st.integers(-(2**15), 2**15 - 1)), min_size=1, max_size=20))
def test_channels_are_mixed(decode, pairs):
    found = decode([wav(np.array(pairs))]).numpy()[0]
    np.testing.assert_allclose(np.mean(pairs, axis=1) / 2**15, found[: len(pairs)], atol=1e-6)
    assert not found[len(pairs) :].any()


def test_rows_do_not_know_each_other(decode):
    one, other = wav(np.arange(20)), wav(np.zeros((30, 2)))
    both = decode([one, other])
    np.testing.assert_array_equal(decode([one])[0], both[0])
    np.testing.assert_array_equal(decode([other])[0], both[1])
    assert (0, SAMPLES) == decode(tf.constant([], tf.string)).shape


def test_another_rate_is_an_error_that_says_both(decode):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Sample rate in Hz:\] \[44100\] \[expected:\] \[8000"):
        decode([wav(), wav(rate=44100)])


@pytest.mark.parametrize("content", [b"", wav()[:-9], wav(bits=8)], ids=["empty", "truncated", "8 bits"])
def test_what_cannot_be_read_is_an_error(decode, content):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode([content])


def test_announced_samples_cost_nothing(decode):
    huge = wav(data_size=2**31 - 2)  # TensorFlow would make room for 4 GiB
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"all the samples that they announce.*\[1\]"):
        decode([wav(), huge])
    assert audio.fault(huge, RATE)


@given(st.sampled_from(SOUND), st.lists(st.tuples(st.integers(0, 70), st.integers(0, 255)), max_size=4), st.integers(0))
def test_graph_lets_through_whatever_is_taken(decode, content, changes, cut):
    damaged = bytearray(content)
    for at, byte in changes:
        damaged[at % len(content)] = byte
    damaged = bytes(damaged[: len(content) - cut % len(content)])
    if audio.fault(damaged, RATE) == "":
        assert (1, SAMPLES) == decode([damaged]).shape


@pytest.mark.parametrize(
    "content", [b"fLaC" + bytes(60), b"RIFF\0\0\0\0WEBP" + bytes(60), b"OggS", b"RIFF", wav()[:12]]
)
def test_other_formats_do_not_reach_the_decoder(decode, content):
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected WAV files"):
        decode([content])


def test_a_tone_lights_its_band():
    time = np.arange(RATE) / RATE
    tones = np.stack([np.sin(2 * np.pi * hertz * time) for hertz in (200, 1000, 3000)]).astype(np.float32)
    found = audio.log_mel(tf.constant(tones), RATE, 256, 128, 40, 1e-6, low=60.0).numpy()
    assert (3, 61, 40) == found.shape
    mel = [1127 * np.log1p(hertz / 700) for hertz in (60, 200, 1000, 3000, 4000)]
    places = [(value - mel[0]) / (mel[-1] - mel[0]) * 41 - 1 for value in mel[1:-1]]
    np.testing.assert_allclose(places, found.mean(axis=1).argmax(axis=1), atol=1)


def test_silence_has_a_spectrogram():
    found = audio.log_mel(tf.zeros([1, SAMPLES]), RATE, 256, 128, 40, 0.5)
    np.testing.assert_allclose(np.log(0.5), found, rtol=1e-5)


def test_noise_below_the_floor_is_not_seen():
    noise = tf.random.stateless_normal([1, RATE], [1, 2], stddev=0.01)  # 96 times 1e-4 in each frequency
    heard, silent = (audio.log_mel(wave, RATE, 256, 128, 40, 1.0).numpy() for wave in (noise, 0 * noise))
    assert np.abs(heard - silent).max() < 0.2
    loud = audio.log_mel(100 * noise, RATE, 256, 128, 40, 1.0).numpy()
    assert np.median(loud) > 3
