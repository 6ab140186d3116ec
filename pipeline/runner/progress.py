"""The live view of a run: its steps with seconds, and the progress of the training, read from the journal."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pipeline.console import format_number
from pipeline.store import journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import RenderableType

INTERVAL_S = 0.15
MARKS = {
    "waiting": ("·", "dim"),
    "started": ("▸", "bold cyan"),
    "done": ("✓", "green"),
    "cached": ("≡", "blue"),
    "skipped": ("-", "dim"),
    "failed": ("✗", "bold red"),
}
WORDS = {"cached": "from cache", "skipped": "skipped", "failed": "failed"}
BAR_WIDTH = 24


@dataclass
class StepLine:
    """One line of the view."""

    name: str
    state: str = "waiting"
    seconds: float = 0.0
    since: float = 0.0


@dataclass
class ProgressView:
    """The events of the journal so far."""

    steps: dict[str, StepLine]
    epochs: int = 0
    steps_per_epoch: int = 0
    epoch: int = 0
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    alarm: str = ""

    def update(self, event: dict[str, Any]) -> list[str]:
        """Adds one event; returns lines for a terminal that cannot be redrawn."""
        kind = event["event"]
        if kind == "step":
            return self._step(event)
        if kind == "training":
            self.epochs, self.steps_per_epoch = event["epochs"], event["steps_per_epoch"]
            resumed = 1 < event["first_epoch"] <= event["epochs"]
            return [f"  resuming from epoch {event['first_epoch']}"] * resumed
        if kind == "progress":
            self.epoch, self.step, self.metrics = event["epoch"], event["step"], event["metrics"]
        if kind == "epoch" and self.epochs:
            self.epoch, self.step, self.metrics = event["epoch"], self.steps_per_epoch, event["metrics"]
            return [f"  {self.training()}  {event['samples_per_second']:,.0f} samples/s"]
        if kind == "alarm":
            self.alarm = str(event["words"])
            return [f"  Alarm: {self.alarm}"]
        return []

    def _step(self, event: dict[str, Any]) -> list[str]:
        step = self.steps.setdefault(event["name"], StepLine(event["name"]))
        step.state, step.seconds, step.since = event["state"], event.get("seconds", 0.0), event["time"]
        if step.state == "started":
            return []
        return [self.line(step).plain]

    def training(self) -> str:
        """Returns the progress line: epoch, batch, loss and metrics."""
        names = [name for name in self.metrics if name != "learning_rate"]
        numbers = "  ".join(f"{name} {format_number(self.metrics[name])}" for name in names)
        return f"epoch {self.epoch}/{self.epochs}  {numbers}"

    def line(self, step: StepLine) -> Text:
        """Renders one step: mark, name, seconds, and a note."""
        mark, style = MARKS[step.state]
        seconds = time.time() - step.since if step.state == "started" else step.seconds
        shown = f"{seconds:6.1f} s" if step.state in ("started", "done", "failed") else " " * 8
        return Text(f"{mark} {step.name:<13}{shown}  {WORDS.get(step.state, '')}".rstrip(), style=style)

    def render(self) -> RenderableType:
        """Renders all steps, with the training's progress below its step."""
        lines: list[RenderableType] = []
        if all(step.state == "waiting" for step in self.steps.values()):
            lines.append(Text("  loading TFX and TensorFlow …", style="dim"))
        for step in self.steps.values():
            lines.append(self.line(step))
            if step.name == "train" and step.state == "started" and self.epochs:
                lines.append(Text(f"    {self._bar()}  {self.training()}", style="cyan"))
            if step.name == "train" and self.alarm:
                lines.append(Text(f"    Alarm: {self.alarm}", style="bold red"))
        return Group(*lines)

    def _bar(self) -> str:
        done = int(BAR_WIDTH * self.step / max(self.steps_per_epoch, 1))
        return "━" * done + "╌" * (BAR_WIDTH - done)


@contextmanager
def show_progress(path: Path, offset: int, names: list[str], terminal: TextIO) -> Iterator[Console]:
    """Shows the events of a journal after an offset until the block ends."""
    view = ProgressView({name: StepLine(name) for name in names})
    console = Console(file=terminal, highlight=False)
    over = threading.Event()
    follow = _redraw if console.is_terminal else _print_lines
    thread = threading.Thread(target=follow, args=(view, path, offset, console, over), daemon=True)
    thread.start()
    try:
        yield console
    finally:
        over.set()
        thread.join()


def _events(path: Path, offset: int, over: threading.Event) -> Iterator[dict[str, Any] | None]:
    last = False
    while not last:
        last = over.wait(INTERVAL_S)
        for event, end in journal.iter_events(path, offset):
            offset = end
            yield event
        yield None


def _redraw(view: ProgressView, path: Path, offset: int, console: Console, over: threading.Event) -> None:
    # Live would redirect sys.stderr, and with it the output that belongs into the log.
    with Live(view.render(), console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        for event in _events(path, offset, over):
            if event is None:
                live.update(view.render(), refresh=True)
            else:
                view.update(event)


def _print_lines(view: ProgressView, path: Path, offset: int, console: Console, over: threading.Event) -> None:
    for event in _events(path, offset, over):
        for line in view.update(event) if event else []:
            console.print(line, markup=False, soft_wrap=True)
