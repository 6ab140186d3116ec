"""Photographs to be changed: patches of 91 pictures (T91) to learn from, the pictures of Set5 and Set14 as the test.

Each row is a picture, how much a client wants it changed, and the same picture as what is to be kept. No client has
said a strength yet, so rows have four of them in turn. The pictures are those of `super_resolution`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.datasets.super_resolution import SUPER_RESOLUTION, SuperResolution
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STRENGTHS = (1.0, 0.75, 0.5, 0.25)


@dataclass(frozen=True)
class Photographs:
    """Raw inputs `image_bytes` (PNG) and `strength` (0 to 1), target `target_bytes`, the same PNG; extra: `picture`.

    The test has whole pictures, training has square patches, each picture also in smaller sizes.

    Args:
        path: Folder or archive with the folders t91, set5 and set14, absolute or under the data folder.
        side: Height and width of a patch, in pixels; what is smaller has none.
    """

    path: str = SUPER_RESOLUTION.path
    side: int = 128
    label: str = ""
    classes: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ("picture",)
    targets: dict[str, str] = field(default_factory=lambda: {"target_bytes": "bytes"})

    @property
    def inputs(self) -> dict[str, str]:
        """One encoded picture, and how much of the change is wanted."""
        return {"image_bytes": "bytes", "strength": "float"}

    def files(self, data: Path) -> list[Path]:
        """Returns the folder or archive.

        Raises:
            PipelineError: There is none.
        """
        return self._pictures().files(data)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the patches and pictures in the order of the archive.

        Raises:
            PipelineError: The archive is damaged.
        """
        for number, row in enumerate(self._pictures().examples(data)):
            strength = {} if row.fault else {"strength": STRENGTHS[number % len(STRENGTHS)]}
            yield Example(row.source, {**row.features, **strength}, row.split, row.fault)

    def _pictures(self) -> SuperResolution:
        return SuperResolution(self.path, scale=1, side=self.side)


PHOTOGRAPHS = Photographs()
