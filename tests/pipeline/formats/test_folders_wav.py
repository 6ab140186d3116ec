"""A folder or archive of recordings per class, and the spoken digits."""

from __future__ import annotations

import io
import tarfile
import wave
import zipfile

import pytest

from pipeline.datasets.fsdd import SpokenDigits
from pipeline.errors import PipelineError
from pipeline.formats.folders import WavFolder


def recording(value=1, rate=8000, width=2) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes([value]) * width * 10)
    return buffer.getvalue()


def folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def tarred(path, files):
    with tarfile.open(path, "w:xz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


FILES = {
    "sounds/no/b.WAV": recording(1),
    "sounds/notes.txt": b"no recording",
    "sounds/yes/a.wav": recording(2),
    "sounds/yes/c.wav": recording(3, rate=16000),
}


@pytest.mark.parametrize("write", [folder, zipped, tarred])
def test_recordings_of_each_class(tmp_path, write):
    write(tmp_path / "data", FILES)
    data = WavFolder("data", 8000, ("no", "yes"))
    found = list(data.examples(tmp_path))
    assert [b"no", b"yes", b"yes"] == [example.features["label"] for example in found]
    names = [example.source.removeprefix(f"{tmp_path / 'data'}/") for example in found]
    assert [FILES[name] for name in names] == [example.features["audio_bytes"] for example in found]
    assert ["", "", "sample rate 16000 Hz, expected 8000 Hz"] == [example.fault for example in found]
    assert {""} == {example.split for example in found}


def test_folders_above_the_classes_are_splits(tmp_path):
    zipped(tmp_path / "data.zip", {f"top/{name}/yes/a.wav": recording() for name in ("train", "test", "valid")})
    found = WavFolder("data.zip", 8000, ("yes",)).examples(tmp_path)
    assert ["train", "test", "train"] == [example.split for example in found]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (recording()[:-1], "truncated: 19 of 20 bytes of samples"),
        (recording(width=1), "8 bits per sample, expected 16"),
        (recording(width=3), "24 bits per sample, expected 16"),
        (b"", "not a WAV file"),
    ],
)
def test_unusable_recording_carries_its_fault(tmp_path, content, fault):
    folder(tmp_path, {"yes/a.wav": content})
    (example,) = WavFolder(str(tmp_path), 8000, ("yes",)).examples(tmp_path / "elsewhere")
    assert fault == example.fault
    assert example.source.endswith("yes/a.wav")


def test_nothing_there(tmp_path):
    with pytest.raises(PipelineError, match="Received: nothing at that path"):
        WavFolder("data", 8000, ("yes",)).files(tmp_path)


DIGITS = {
    "fsdd/README.md": b"words",
    "fsdd/recordings/7_jackson_4.wav": recording(1),
    "fsdd/recordings/0_theo_5.wav": recording(2),
    "fsdd/recordings/3_theo_49.wav": recording(3)[:-2],
    "fsdd/recordings/seven.wav": recording(4),
}


def test_spoken_digits_from_names(tmp_path):
    tarred(tmp_path / "digits.tar.xz", DIGITS)
    found = list(SpokenDigits("digits.tar.xz").examples(tmp_path))
    assert ["test", "train", "train", ""] == [example.split for example in found]
    assert [(b"7", b"jackson"), (b"0", b"theo"), (b"3", b"theo")] == [
        (example.features["label"], example.features["speaker"]) for example in found[:3]
    ]
    assert [
        "",
        "",
        "truncated: 18 of 20 bytes of samples",
        "its name is not DIGIT_SPEAKER_NUMBER.wav",
    ] == [example.fault for example in found]


def test_spoken_digits_from_a_clone(tmp_path):
    folder(tmp_path, DIGITS)
    data = SpokenDigits("fsdd/fsdd.tar.xz")
    assert [tmp_path / "fsdd" / "recordings"] == data.files(tmp_path)
    assert [b"0", b"3", b"7"] == [example.features["label"] for example in list(data.examples(tmp_path))[:3]]


def test_no_spoken_digits(tmp_path):
    with pytest.raises(PipelineError, match=r"git clone https://github\.com/Jakobovski/.* .*/fsdd, or set KERASPIPE"):
        SpokenDigits("fsdd/fsdd.tar.xz").files(tmp_path)
