"""Pictures that `keraspipe predict` writes: answers that are one, and boxes on the picture that was asked about."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.features import image
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np

BOXES, LABELS, SCORES, COUNT = "boxes", "labels", "scores", "count"


def write_pictures(
    name: str, inputs: Sequence[str], answer: Mapping[str, np.ndarray], folder: Path
) -> list[dict[str, Path]]:
    """Writes the pictures of each row into a folder, and returns their files by output.

    Args:
        name: The model.
        inputs: The input of each row as the user gave it: a file, or NAME=FILE.
        answer: The model's answer: arrays by output, (rows, …).
        folder: Where the files are written; one of an earlier answer is replaced, one that is an input is not.
    """
    rows = len(next(iter(answer.values())))
    inputs = inputs if len(inputs) == rows else [f"row {row}" for row in range(rows)]
    written: list[dict[str, Path]] = []
    used: set[Path] = set()
    for row, text in enumerate(inputs):
        stem = f"{Path(text.rpartition('=')[2]).stem.replace(' ', '_')}-{name.partition('@')[0]}"
        pictures = {key: image.file_ending(values[row]) for key, values in answer.items() if key.endswith("_bytes")}
        contents = {key: (answer[key][row], ending) for key, ending in pictures.items() if ending}
        if drawn := _draw_row(text, answer, row):
            contents[BOXES] = drawn, ".png"
        written.append({})
        for key, (content, ending) in contents.items():
            path = free_path(folder / f"{stem}{f'-{key}' if len(contents) > 1 else ''}{ending}", inputs, used)
            used.add(path)
            with fileio.replace_file(path) as temporary:
                temporary.write_bytes(content)
            written[-1][key] = path
    return written


def free_path(path: Path, inputs: Sequence[str], used: Collection[Path] = ()) -> Path:
    """Returns a path that is none of the inputs, and none of those that this answer has used."""
    taken = {Path(text.rpartition("=")[2]).resolve() for text in inputs}
    if path.resolve() in taken:
        path = path.with_name(f"{path.stem}-answer{path.suffix}")
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(2))
    paths = itertools.chain([path], numbered)
    return next(each for each in paths if each not in used and each.resolve() not in taken)


def _draw_row(text: str, answer: Mapping[str, np.ndarray], row: int) -> bytes:
    """Returns the asked picture with the boxes of a row as PNG; empty without boxes, or if the input is no file."""
    file = Path(text.rpartition("=")[2])
    if not {BOXES, LABELS} <= answer.keys() or not file.is_file():
        return b""
    count = counted(answer, row)
    labels = [label.decode(errors="replace") for label in answer[LABELS][row][:count]]
    scores = answer[SCORES][row][:count].tolist() if SCORES in answer else None
    from pipeline.features import drawing

    picture = image.open_upright(file.read_bytes())
    return image.encode_picture(drawing.draw_boxes(picture, answer[BOXES][row][:count], labels, scores))


def counted(answer: Mapping[str, np.ndarray], row: int) -> int:
    """Returns how many boxes of a row count: the model says it, or else all."""
    return int(answer[COUNT][row]) if COUNT in answer else len(answer[BOXES][row])
