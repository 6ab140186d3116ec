"""The live view, fed with events."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from pipeline.runner import progress
from pipeline.runner.progress import ProgressView, StepLine
from pipeline.store import journal


def view(*names):
    return ProgressView({name: StepLine(name) for name in names})


def step(name, state, seconds=0.0):
    return {"event": "step", "time": 1.0, "name": name, "state": state, "seconds": seconds}


TRAINING = {"event": "training", "time": 1.0, "epochs": 10, "steps_per_epoch": 20, "first_epoch": 1}
PROGRESS = {"event": "progress", "time": 1.0, "epoch": 2, "step": 10, "metrics": {"loss": 0.5, "learning_rate": 0.1}}
EPOCH = {**PROGRESS, "event": "epoch", "samples_per_second": 12345.6}


def drawn(one):
    console = Console(file=io.StringIO(), width=120)
    console.print(one.render())
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("done", "✓ ingest          1.5 s"),
        ("failed", "✗ ingest          1.5 s  failed"),
        ("cached", "≡ ingest                 from cache"),
        ("skipped", "- ingest                 skipped"),
    ],
    ids=["done", "failed", "cached", "skipped"],
)
def test_finished_step_is_one_plain_line(state, line):
    assert [line] == view("ingest").update(step("ingest", state, 1.5))


def test_started_step_prints_nothing_and_is_drawn():
    one = view("ingest", "train")
    assert [] == one.update(step("ingest", "started", None))
    text = drawn(one)
    assert "▸ ingest" in text
    assert "· train" in text


def test_unknown_step_is_added():
    one = view("ingest")
    assert ["✓ extra           2.0 s"] == one.update(step("extra", "done", 2.0))
    assert ["ingest", "extra"] == list(one.steps)


def test_epochs_are_plain_lines_and_the_learning_rate_is_not_shown():
    one = view("train")
    one.update(step("train", "started"))
    assert [] == one.update(TRAINING)
    assert [] == one.update(PROGRESS)
    assert ["  epoch 2/10  loss 0.5000  12,346 samples/s"] == one.update(EPOCH)


def test_progress_is_drawn_under_the_training():
    one = view("train")
    for event in (step("train", "started"), TRAINING, PROGRESS):
        one.update(event)
    assert "━" * 12 + "╌" * 12 + "  epoch 2/10  loss 0.5000" in drawn(one)
    one.update(step("train", "done", 3.0))
    assert "epoch 2/10" not in drawn(one)


def test_resumed_training_says_so():
    assert ["  resuming from epoch 4"] == view("train").update({**TRAINING, "first_epoch": 4})


def test_other_events_are_passed_over():
    one = view("train")
    assert [] == one.update({"event": "start", "time": 1.0})
    assert [] == one.update({"event": "end", "time": 1.0, "status": "finished"})
    assert view("train") == one


class Terminal(io.StringIO):
    """A terminal that rich can draw on."""

    def __init__(self, *, tty):
        super().__init__()
        self.tty = tty

    def isatty(self):
        return self.tty


def follow(tmp_path, *, tty, monkeypatch):
    monkeypatch.setenv("TERM", "xterm" if tty else "dumb")
    path, terminal = tmp_path / "journal.jsonl", Terminal(tty=tty)
    journal.append_event(path, "step", name="ingest", state="done", seconds=99.0)
    offset = path.stat().st_size
    before = threading.active_count()
    with progress.show_progress(path, offset, ["ingest"], terminal):
        for event in (step("ingest", "done", 2.0), TRAINING, EPOCH):
            journal.append_event(path, event["event"], **{k: v for k, v in event.items() if k not in ("event", "time")})
    assert before == threading.active_count()
    return terminal.getvalue()


def test_plain_output_follows_the_journal_from_its_offset(tmp_path, monkeypatch):
    expected = "✓ ingest          2.0 s\n  epoch 2/10  loss 0.5000  12,346 samples/s\n"
    assert expected == follow(tmp_path, tty=False, monkeypatch=monkeypatch)


def test_terminal_is_redrawn_to_the_last_event(tmp_path, monkeypatch):
    assert "ingest          2.0 s" in follow(tmp_path, tty=True, monkeypatch=monkeypatch)


def test_torn_line_does_not_stop_the_view(tmp_path):
    path, terminal = tmp_path / "journal.jsonl", Terminal(tty=False)
    path.write_bytes(b'{"event": "st')
    with progress.show_progress(path, 0, ["ingest"], terminal):
        journal.append_event(path, "step", name="ingest", state="done", seconds=2.0)
    assert "✓ ingest          2.0 s\n" == terminal.getvalue()
