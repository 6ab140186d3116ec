"""Recipes over files in one folder per class: images, recordings and texts; and over a table's one column of text."""

from __future__ import annotations

import io
import math
import wave
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline.baseline.even_sample import EvenSample
from pipeline.errors import PipelineError
from pipeline.features import image
from pipeline.formats.download import read_members
from pipeline.formats.folders import WAV_SUFFIXES, TextFolder, WavFolder, is_hidden, read_class_files
from pipeline.scaffold import baseline, class_folders
from pipeline.scaffold.choices import SMALL_ROWS
from pipeline.scaffold.class_folders import ClassFolders
from pipeline.scaffold.render import Plan, safe_name
from pipeline.tables.names import make_identifiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.formats.base import Example


MAX_DECODED = 1000  # so many images are decoded; the others are only counted
SIDES = (32, 64, 96, 128)
GREY_MODES = {"1", "L", "I;16", "I"}
RECORDINGS_ROOT = Path("/")  # the paths are absolute here
MIN_LENGTH_S, MAX_LENGTH_S = 0.3, 4.0
FRAME_S = 0.032
ROOT = Path("/")  # the paths are absolute here
MAX_TEXT_WORDS = 500
VOCABULARY_SIZE = 30_000


@dataclass
class ImageSurvey:
    """How the first images look: sizes and colour modes, and whether all are as one shape wants them."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (height, width)
    modes: Counter[str] = field(default_factory=Counter)
    contents: list[bytes] = field(default_factory=list)

    def add(self, content: bytes) -> str:
        """Adds an image; returns why it cannot be used, else an empty text."""
        from PIL import Image

        fault = image.fault(content, (1, 1, 3), resize=True)
        if not fault:
            with Image.open(io.BytesIO(content)) as opened:
                self.sizes[opened.height, opened.width] += 1
                self.modes[opened.mode] += 1
            self.contents.append(content)
        return fault

    def shape(self) -> tuple[tuple[int, int, int], bool]:
        """Height, width and channels for a network, and whether all images have these already."""
        channels = 1 if set(self.modes) <= GREY_MODES else 3
        (height, width), _ = self.sizes.most_common(1)[0]
        exact = (height, width, channels)
        same = len(self.sizes) == 1 and max(height, width) <= SIDES[-1] and min(height, width) >= 8  # noqa: PLR2004
        if same and not any(image.fault(content, exact) for content in self.contents):
            return exact, True
        typical = median(min(size) for size in self.sizes.elements())
        side = min(SIDES, key=lambda candidate: abs(candidate - typical))
        return (side, side, channels), False


def plan_images(path: Path) -> Plan:
    """Plans a recipe for a folder or archive of images.

    Raises:
        PipelineError: There is nothing to tell apart, or too little.
    """
    folders, survey = ClassFolders(), ImageSurvey()
    for number, file in enumerate(read_class_files(path, image.SUFFIXES)):
        fault = survey.add(file.content) if number < MAX_DECODED else ""
        folders.add(file.split, file.folder, file.source, fault, file.content)
    facts = class_folders.folder_facts(path, folders, "images")
    shape, exact = survey.shape()
    notes = [_describe_images(survey, shape, exact=exact), *class_folders.folder_notes(path, facts, image.SUFFIXES)]
    return Plan(
        "image", facts | _image_facts(shape, facts, exact=exact), class_folders.FOLDER_HEAD, folders.rows(), notes
    )


def _describe_images(survey: ImageSurvey, shape: tuple[int, int, int], *, exact: bool) -> str:
    sizes = [f"{width}x{height}" for (height, width), _ in survey.sizes.most_common(3)]
    more = f" and {len(survey.sizes) - 3} more" if len(survey.sizes) > 3 else ""  # noqa: PLR2004
    size = f"resized to {shape[1]}x{shape[0]}"
    into = f"taken as they are, others are {size}" if exact else size
    return f"Sizes {', '.join(sizes)}{more}, {'grey' if shape[2] == 1 else 'in colour'}: {into}."


def _image_facts(shape: tuple[int, int, int], facts: dict[str, Any], *, exact: bool) -> dict[str, Any]:
    blocks, flip = choose_filters(min(shape[:2]), facts["count"]), shape[2] == 3  # noqa: PLR2004
    return {
        "shape": shape,
        "exact": exact,
        "blocks": blocks,
        "flip": flip,
        "fill": "nearest" if flip else "constant",
        "shift": 0.05 if min(shape[:2]) < SIDES[0] else 0.08,
        "diagram": _image_diagram(shape, blocks, len(facts["classes"])),
        "sizes": facts["sizes"].halve_epochs(),
    }


def choose_filters(side: int, rows: int) -> tuple[int, ...]:
    """Filters of each block: as many blocks as leave two pixels or more, and more filters for more images."""
    count = min(max((side // 2).bit_length() - 1, 2), 5)
    first = 16 if side > SIDES[1] else 32 if rows > SMALL_ROWS else 24
    return tuple(min(first * 2**block, 128) for block in range(count))


def _image_diagram(shape: tuple[int, int, int], blocks: tuple[int, ...], classes: int) -> str:
    height, width, _ = shape
    parts = [f"    image_bytes ─ decode ─ ({', '.join(map(str, shape))})"]
    for number, size in enumerate(blocks, 1):
        parts.append(f" ─ block ─ ({height // 2**number}, {width // 2**number}, {size})")
        if number == 2 and len(blocks) > 2:  # noqa: PLR2004
            parts.append("\n       ")
    return "".join([*parts, "\n        ─ mean ─ ", f"({blocks[-1]}) ─ dropout ─ softmax ─ ({classes})"])


def plan_recordings(path: Path) -> Plan:
    """Plans a recipe for a folder or archive of recordings.

    Raises:
        PipelineError: There is nothing to tell apart, or too little.
    """
    files = ((name, content) for name, content in read_members(path, WAV_SUFFIXES) if not is_hidden(name))
    lengths = Counter(_read_length(content) for _, content in files)
    rate = _usual_rate(path, lengths)
    folders = ClassFolders()
    for example in WavFolder(str(path), rate, ()).examples(RECORDINGS_ROOT):
        _count_recording(example, folders)
    facts = class_folders.folder_facts(path, folders, "recordings")
    samples = _choose_samples(lengths, rate)
    notes = [f"{rate} samples a second; {samples / rate:.1f} seconds of each recording are heard."]
    notes += class_folders.folder_notes(path, facts, WAV_SUFFIXES)
    return Plan(
        "audio", facts | _recording_facts(samples, rate, facts), class_folders.FOLDER_HEAD, folders.rows(), notes
    )


def _count_recording(example: Example, folders: ClassFolders) -> None:
    name, content = example.features["label"], example.features["audio_bytes"]
    assert isinstance(name, bytes)
    assert isinstance(content, bytes)
    folders.add(example.split, name.decode(errors="replace"), example.source, example.fault, content)


def _read_length(content: bytes) -> tuple[int, int]:
    """Samples per second, and samples; zeros for what is no WAV file."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            return file.getframerate(), file.getnframes()
    except (wave.Error, EOFError):
        return 0, 0


def _usual_rate(path: Path, lengths: Counter[tuple[int, int]]) -> int:
    rates: Counter[int] = Counter()
    for (rate, _), count in lengths.items():
        rates[rate] += count
    rates.pop(0, None)
    if not rates:
        raise PipelineError(
            f"No recording in {path} can be read.",
            expected="WAV files of 16 bits (PCM)",
            received=f"{lengths.total()} files of another format",
            action="convert them, for instance with: ffmpeg -i IN -ar 16000 -ac 1 -c:a pcm_s16le OUT.wav",
        )
    return rates.most_common(1)[0][0]


def _choose_samples(lengths: Counter[tuple[int, int]], rate: int) -> int:
    """So many that 19 of 20 recordings are heard to their end."""
    ordered = sorted(
        frames for (frequency, frames), count in lengths.items() if frequency == rate for _ in range(count)
    )
    seconds = min(max(ordered[int(0.95 * (len(ordered) - 1))] / rate, MIN_LENGTH_S), MAX_LENGTH_S)
    return math.ceil(round(10 * seconds, 3)) * rate // 10


def _recording_facts(samples: int, rate: int, facts: dict[str, Any]) -> dict[str, Any]:
    frame = 2 ** round(FRAME_S * rate).bit_length()
    frame = frame // 2 if abs(frame // 2 - FRAME_S * rate) < abs(frame - FRAME_S * rate) else frame
    return {
        "samples": samples,
        "rate_hz": rate,
        "seconds": f"{samples / rate:.1f}",
        "frame": frame,
        "frames": 1 + (samples - frame) // (frame // 2),
        "blocks": (16, 32, 64),
        "sizes": facts["sizes"].halve_epochs(),
    }


def plan_texts(path: Path) -> Plan:
    """Plans a recipe for a folder or archive of texts.

    Raises:
        PipelineError: There is nothing to tell apart, or too little.
    """
    folders, words = ClassFolders(sample=EvenSample(class_folders.MAX_FILES, baseline.MAX_TEXT_BYTES)), []
    for example in TextFolder(str(path), ()).examples(ROOT):
        name, content = example.features["label"], example.features["text"]
        assert isinstance(name, bytes)
        assert isinstance(content, bytes)
        folders.add(example.split, name.decode(errors="replace"), example.source, example.fault, content)
        words.append(len(content.split()))
    facts = class_folders.folder_facts(path, folders, "texts")
    facts |= {"format": "TextFolder", "text": "text"}
    return Plan(
        "text",
        facts | _text_sizes(words),
        class_folders.FOLDER_HEAD,
        folders.rows(),
        [_describe_texts(words), *class_folders.folder_notes(path, facts, (".txt",))],
    )


def plan_text_column(
    common: dict[str, Any],
    column: str,
    words: list[int],
    head: tuple[str, ...],
    rows: list[tuple[str, ...]],
    notes: list[str],
) -> Plan:
    """The recipe over a table that has one column of text and a class."""
    label = common["label"]
    called = make_identifiers([column, label])
    facts = {
        "column": column,
        "text": called[column],
        "without": (),
        "renamed": {new: old for old, new in called.items() if new != old},
        "title": f"{safe_name(label)} from the texts of {common['file']}.",
        "words": common["bounds"].baseline,
    }
    return Plan("text", common | facts | _text_sizes(words), head, rows, [*notes, _describe_texts(words)])


def _text_sizes(words: Sequence[int]) -> dict[str, Any]:
    ordered = sorted(words)
    most = ordered[int(0.95 * (len(ordered) - 1))]
    return {"length": min(max(-(-most // 10) * 10, 10), MAX_TEXT_WORDS), "vocabulary": VOCABULARY_SIZE}


def _describe_texts(words: Sequence[int]) -> str:
    ordered = sorted(words)
    return f"Texts of {ordered[len(ordered) // 2]} words in the middle, {ordered[-1]} at most."
