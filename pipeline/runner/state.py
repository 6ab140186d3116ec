"""The state of a run between its steps: its request, and the outputs of the steps so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runner.digests import training_config

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.runner.digests import StepDigests
    from pipeline.runs.run import RunRequest, RunResult
    from pipeline.store.layout import Workspace


@dataclass
class RunState:
    """The state of a run between its steps.

    Attributes:
        request: The request.
        recipe: The recipe.
        result: The result to report.
        files: Files of the data set.
        data: Digest of the files.
        digests: Digests of the steps.
        artifacts: Outputs by step and name.
        model: Digest of the candidate's SavedModel; set after the step `resolve`.
        judged_against: Digest of the champion (the live model) at the time of the evaluation.
        is_live: Whether the candidate is the champion itself.
        is_judged: Whether the candidate was evaluated before, with the same data, schema and gate.
    """

    request: RunRequest
    recipe: Recipe
    result: RunResult
    files: list[Path]
    data: str
    digests: StepDigests
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    model: str = ""
    judged_against: str = ""
    is_live: bool = False
    is_judged: bool = False

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return self.request.settings.workspace

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of this training."""
        return Path(training_config(self.request, self.digests)["checkpoints"])

    def uri(self, step: str, output: str) -> Path:
        """Returns the folder of an artifact."""
        return Path(self.artifacts[step][output].uri)
