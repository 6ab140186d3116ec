"""Connected digits: joined recordings, always the same, test speakers apart."""

from __future__ import annotations

import dataclasses
import io
import tarfile
import wave
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.connected_digits import CONNECTED_DIGITS, LONGEST, MOST, Clip, encode_wav, join_clips
from pipeline.errors import PipelineError
from pipeline.features import audio

RATE = 8000
SMALL = dataclasses.replace(CONNECTED_DIGITS, test_speakers=("ann",), rounds=2, test_rounds=1)


def samples_of(content):
    with wave.open(io.BytesIO(content)) as file:
        assert (RATE, 1, 2) == (file.getframerate(), file.getnchannels(), file.getsampwidth())
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


@pytest.fixture
def data(tmp_path):
    """Ten recordings of each of two speakers, and one that is damaged."""
    (tmp_path / "fsdd").mkdir()
    with tarfile.open(tmp_path / "fsdd" / "fsdd.tar.xz", "w:xz") as archive:
        for speaker in ("ann", "bob"):
            for digit in range(10):
                add(archive, f"{digit}_{speaker}_7.wav", encode_wav(np.full(2000, 100 * digit + 500.0), RATE))
        add(archive, "3_bob_8.wav", b"RIFF")
    return tmp_path


def add(archive, name, content):
    member = tarfile.TarInfo(f"recordings/{name}")
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def rows(data, declared=SMALL):
    return list(declared.examples(data))


def test_each_recording_is_in_each_round_once(data):
    digits = defaultdict(Counter)
    for row in rows(data):
        if not row.fault:
            digits[row.features["speaker"], row.split].update(row.features["digits"].decode())
    assert {
        (b"ann", "test"): dict.fromkeys("0123456789", 1),
        (b"bob", "train"): dict.fromkeys("0123456789", 2),
    } == digits


def test_a_recording_that_cannot_be_read_is_reported(data):
    (bad,) = [row for row in rows(data) if row.fault]
    assert "3_bob_8.wav" in bad.source
    assert "not a WAV file" in bad.fault


def test_the_same_files_give_the_same_numbers(data):
    assert rows(data) == rows(data)


def test_one_hears_the_digits_in_their_order(data):
    for row in rows(data):
        if not row.fault:
            loud = np.round((samples_of(row.features["audio_bytes"]) - 500) / 100)
            heard = loud[loud > -2].reshape(-1, 2000)  # without the pauses
            assert (heard == heard[:, :1]).all()
            assert row.features["digits"].decode() == "".join(str(int(digit)) for digit in heard[:, 0])


def test_rounds_differ(data):
    by_round = defaultdict(list)
    for row in rows(data):
        if row.split == "train" and not row.fault:
            by_round[row.source.split(",")[1]].append(row.features["digits"])
    assert 2 == len({tuple(digits) for digits in by_round.values()})


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 60_000), min_size=1, max_size=30), st.integers(0, 5))
def test_any_recordings_fit(lengths, number):
    clips = [Clip(str(place), "7", np.full(length, 900, np.int16)) for place, length in enumerate(lengths)]
    found = list(join_clips(clips, number, RATE))
    assert len(clips) == sum(len(digits) for digits, _ in found)
    for digits, content in found:
        assert len(digits) <= MOST
        assert len(samples_of(content)) <= LONGEST
        assert not audio.fault(content, RATE)


def test_nothing_there(tmp_path):
    with pytest.raises(PipelineError, match="spoken digits do not exist"):
        CONNECTED_DIGITS.files(tmp_path)


@pytest.mark.heavy
def test_all_recordings(shared_data):
    if not (shared_data / "fsdd").exists():
        pytest.skip(f"no fsdd in {shared_data}")
    found = rows(shared_data, CONNECTED_DIGITS)
    assert not [row.fault for row in found if row.fault]
    speakers = {split: {row.features["speaker"] for row in found if row.split == split} for split in ("train", "test")}
    assert {"train": 5, "test": 1} == {split: len(names) for split, names in speakers.items()}
    assert not speakers["train"] & speakers["test"]
    assert {len(row.features["digits"]) for row in found} == set(range(MOST + 1))
