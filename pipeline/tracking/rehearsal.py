"""What the end of a run asks for all at once, done before for nothing, while there is nothing else to do.

Whoever has started the run waits for its end: what takes MLflow and Matplotlib a second and more the first time
(imports, fonts, the list of installed packages) would be waited for, and is not once it has been done.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import importing

if TYPE_CHECKING:
    from collections.abc import Iterator


def rehearsed() -> Iterator[None]:
    """Does one part with each step, so that a run which ends meanwhile does not wait for the others."""
    for part in (_importing, _drawing, _saving):
        # What fails here fails again when it counts, and is told then.
        with suppress(Exception), importing.without_garbage():
            part()
        yield


def _importing() -> None:
    from pipeline.tracking import evaluation

    for name in ("confusion", "curves", *evaluation.PICTURES):
        import_module(f"pipeline.tracking.pictures.{name}")


def _drawing() -> None:
    from pipeline.tracking.pictures.confusion import confusion

    confusion([[1, 0], [0, 1]], ["no", "yes"]).savefig(BytesIO())


def _saving() -> None:
    from pipeline.tracking import pyfunc

    with tempfile.TemporaryDirectory(prefix="keraspipe-") as beside:
        model = Path(beside) / "saved_model"
        model.mkdir()
        pyfunc.save(Path(beside) / "model", model)
