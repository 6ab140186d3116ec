"""How far a run has been recorded in MLflow: `recorded.json` in the run's folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Self

from pipeline.store import fileio

if TYPE_CHECKING:
    from pipeline.store.layout import RunFolder

MAX_ERROR_LENGTH = 2000


@dataclass
class RecordingState:
    """What the recorder must know to go on where it stopped.

    Attributes:
        offset: Bytes of the journal that MLflow has seen.
        uri: The MLflow that has seen them.
        mlflow_run_id: The run there.
        experiment_id: Its experiment.
        children: The runs of the steps there, by name.
        model_version: The version registered by this run; empty while there is none.
        complete: The journal's last event was `end`, and it is recorded.
        error: What could not be recorded and will not be tried again, one line each.
        unreachable: Why MLflow does not answer; empty while it does.
    """

    offset: int = 0
    uri: str = ""
    mlflow_run_id: str = ""
    experiment_id: str = ""
    children: dict[str, str] = field(default_factory=dict)
    model_version: str = ""
    complete: bool = False
    error: str = ""
    unreachable: str = ""

    @classmethod
    def load(cls, folder: RunFolder) -> Self:
        """The state kept in a run's folder; a new one where there is none or where it cannot be read."""
        try:
            kept = fileio.read_json(folder.recorded, {})
            return cls(**{item.name: kept[item.name] for item in fields(cls) if item.name in kept})
        except (ValueError, TypeError, AttributeError):
            return cls()

    def save(self, folder: RunFolder) -> None:
        """Replaces the state in a run's folder."""
        fileio.write_json(folder.recorded, asdict(self))

    def note(self, problem: str) -> None:
        """Adds a problem, once; the text stays short enough to be shown."""
        line = " ".join(problem.split())
        if line not in self.error and len(self.error) < MAX_ERROR_LENGTH:
            self.error = f"{self.error}\n{line[:500]}".strip()
