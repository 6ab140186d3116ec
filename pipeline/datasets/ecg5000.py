"""ECG5000: heartbeats of one patient, 140 samples each, normal ones and four kinds of anomaly.

Source: Y. Chen, E. Keogh, UCR time series archive, 2015,
http://www.timeseriesclassification.com/description.php?Dataset=ECG5000 (its training part: 500 beats, 292 normal),
from record chf07 of A. Goldberger et al., PhysioBank, PhysioToolkit, and PhysioNet, Circulation 101(23), 2000.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = "http://www.timeseriesclassification.com/description.php?Dataset=ECG5000"
SAMPLES = 140
NORMAL = 1
KINDS = (1, 2, 3, 4, 5)
FOLDS = 5


@dataclass(frozen=True)
class Ecg5000:
    """Raw input `beat` (140 floats, each beat of mean 0 and deviation 1), label `is_anomaly` (1.0 or 0.0).

    The training split has four fifths of the normal beats, the test split the other fifth and all anomalies.

    Args:
        path: File under the data folder.
        fold: Every fifth normal beat from this one on (0 to 4) is in the test split.
    """

    path: str = "ecg5000/ECG5000_TRAIN.arff"
    fold: int = 4
    classes: tuple[str, ...] = ()
    label: str = "is_anomaly"

    @property
    def inputs(self) -> dict[str, str]:
        """One heartbeat."""
        return {"beat": f"float[{SAMPLES}]"}

    def files(self, data: Path) -> list[Path]:
        """Returns the file.

        Raises:
            PipelineError: It does not exist.
        """
        path = data / self.path
        if not path.is_file():
            raise PipelineError(
                f"There is no file {path}.",
                expected="ECG5000_TRAIN.arff",
                received="nothing at that path",
                action=f"download it from {SOURCE}, or set KERASPIPE_DATA to the folder above {path.parent.name}/",
            )
        return [path]

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the beats in the order of the file, with or without an ARFF header."""
        (path,) = self.files(data)
        normal = 0
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip() and line[0] not in "@%":
                    example = self._example(f"{path} line {number}", line, normal)
                    normal += not example.fault and not example.features[self.label]
                    yield example

    def _example(self, source: str, line: str, normal: int) -> Example:
        try:
            *beat, kind = map(float, line.split(","))
        except ValueError as error:
            return Example(source, {}, fault=f"not numbers separated by commas: {error}")
        if len(beat) != SAMPLES or kind not in KINDS:
            return Example(source, {}, fault=f"{len(beat)} samples of kind {kind:g}, expected {SAMPLES} of kind 1 to 5")
        if not all(map(math.isfinite, beat)):
            return Example(source, {}, fault="a sample is not finite")
        anomaly = kind != NORMAL
        split = "test" if anomaly or normal % FOLDS == self.fold else "train"
        return Example(source, {"beat": tuple(beat), "is_anomaly": float(anomaly)}, split)


ECG5000 = Ecg5000()
