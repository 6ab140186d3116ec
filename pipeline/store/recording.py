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
    """The state from which the recorder continues.

    Attributes:
        offset: Bytes of the journal that are recorded.
        uri: The MLflow server or database that has them.
        mlflow_run_id: The run in MLflow.
        experiment_id: Its experiment.
        children: The MLflow runs of the steps, by name.
        model_version: The version registered by this run; empty while there is none.
        has_view: Whether the experiment has the view that `keraspipe dashboard` opens.
        complete: Whether the journal's last event was `end` and is recorded.
        error: Events that could not be recorded and will not be tried again, one per line.
        unreachable: Why MLflow does not answer; empty while it does.
    """

    offset: int = 0
    uri: str = ""
    mlflow_run_id: str = ""
    experiment_id: str = ""
    children: dict[str, str] = field(default_factory=dict)
    model_version: str = ""
    has_view: bool = False
    complete: bool = False
    error: str = ""
    unreachable: str = ""

    @classmethod
    def load(cls, folder: RunFolder) -> Self:
        """Loads the state from a run's folder; a new one if there is none or it cannot be read."""
        try:
            kept = fileio.read_json(folder.recorded, {})
            return cls(**{item.name: kept[item.name] for item in fields(cls) if item.name in kept})
        except (ValueError, TypeError, AttributeError):
            return cls()

    def save(self, folder: RunFolder) -> None:
        """Replaces the state in a run's folder."""
        fileio.write_json(folder.recorded, asdict(self))

    def note(self, problem: str) -> None:
        """Adds a problem, once; the length of the text is limited."""
        line = " ".join(problem.split())
        if line not in self.error and len(self.error) < MAX_ERROR_LENGTH:
            self.error = f"{self.error}\n{line[:500]}".strip()
