"""The 1,797 handwritten digits of scikit-learn: 8x8 pixels, 17 grey levels, nothing to download.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998 (its
test part).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.features import image
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np


@dataclass(frozen=True)
class Digits:
    """Digits: raw input `image_bytes` (PNG, 8x8, grey), label `label` ("0" to "9")."""

    shape: tuple[int, int, int] = (8, 8, 1)
    classes: tuple[str, ...] = tuple("0123456789")
    label: str = "label"

    @property
    def inputs(self) -> dict[str, str]:
        """One encoded image."""
        return {"image_bytes": "bytes"}

    def files(self, data: Path) -> list[Path]:  # noqa: ARG002
        """Returns the file inside scikit-learn."""
        spec = find_spec("sklearn")
        assert spec is not None
        assert spec.origin is not None
        return [Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the scans in the order of the file."""
        for row, (pixels, label) in enumerate(zip(*self._scans(data), strict=True)):
            features = {"image_bytes": image.encode_png(pixels), "label": str(label).encode()}
            yield Example(f"scan {row}", features)

    def _scans(self, data: Path) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        table = np.loadtxt(self.files(data)[0], delimiter=",")
        # Scales 0..16 to the 0..255 of an 8-bit image.
        pixels = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        return pixels, table[:, -1].astype(int)
