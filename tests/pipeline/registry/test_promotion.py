"""Promote, roll back, challenge: against a model of it, in words where it cannot be, and killed anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pipeline.errors import PipelineError, UsageError
from pipeline.registry import promotion, serving_config
from pipeline.store import champions, fileio
from pipeline.store.champions import ModelVersion
from pipeline.store.layout import Workspace

VERSIONS = (1, 2, 3, 4)


def one(version):
    return ModelVersion(version, f"digest-{version}", f"plain-{version}")


def blessed(workspace, *versions, quick=False):
    """Published versions, each with the record of its run, as a run leaves them."""
    for version in versions:
        Workspace(workspace).model("plain", version).mkdir(parents=True)
        folder = Workspace(workspace).run(f"plain-{version}").root
        folder.mkdir(parents=True)
        steps = [{"name": "publish", "seconds": 0.0}]
        result = {"run_id": folder.name, "recipe": "plain", "model_version": version, "steps": steps, "quick": quick}
        fileio.write_json(folder / "result.json", result)
        line = f'{{"event": "publish", "version": {version}, "digest": "digest-{version}"}}\n'
        (folder / "journal.jsonl").write_text(line)


def links(workspace):
    folders = Workspace(workspace).live_links.glob("*")
    return {folder.name: {link.name for link in folder.iterdir()} for folder in folders}


def seen(workspace):
    """What servers see, by alias."""
    found = links(workspace)
    return [{int(name) for name in found.get(model, ())} for model in ("plain", "plain-challenger")]


class Promotions(RuleBasedStateMachine):
    """A list of champions and a challenger is all there is to it."""

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.workspace = Path(self.folder.name)
        blessed(self.workspace, *VERSIONS)
        self.champions, self.challenger = [], None

    @rule(version=st.sampled_from(VERSIONS))
    def promote(self, version):
        change = promotion.promote(Workspace(self.workspace), f"plain@{version}")
        assert version == change.as_json()["champion"]
        self._crowned(version)

    @rule()
    def promote_the_challenger(self):
        if self.challenger is None:
            with pytest.raises(PipelineError, match="plain has no challenger"):
                promotion.promote(Workspace(self.workspace), "plain")
            return
        promotion.promote(Workspace(self.workspace), "plain")
        self._crowned(self.challenger)

    @rule(version=st.sampled_from(VERSIONS))
    def challenge(self, version):
        if self.champions and self.champions[-1] == version:
            with pytest.raises(PipelineError, match="is the champion of plain"):
                promotion.challenge(Workspace(self.workspace), f"plain@{version}")
            return
        promotion.challenge(Workspace(self.workspace), f"plain@{version}")
        self.challenger = version

    @rule()
    def withdraw(self):
        if self.challenger is not None:
            promotion.withdraw(Workspace(self.workspace), "plain")
            self.challenger = None

    @rule()
    def roll_back(self):
        if len(self.champions) < 2:
            with pytest.raises(PipelineError, match="cannot be rolled back"):
                promotion.rollback(Workspace(self.workspace), "plain")
            return
        promotion.rollback(Workspace(self.workspace), "plain")
        self.champions.pop()
        self._no_challenger_that_is_champion()

    def _crowned(self, version):
        if self.champions[-1:] != [version]:
            self.champions.append(version)
        self._no_challenger_that_is_champion()

    def _no_challenger_that_is_champion(self):
        if self.challenger == self.champions[-1]:
            self.challenger = None

    @invariant()
    def the_record_and_what_servers_see_are_the_model(self):
        now = champions.current_entry(Workspace(self.workspace), "plain")
        assert (one(self.champions[-1]) if self.champions else None) == now.champion
        assert (one(self.challenger) if self.challenger else None) == now.challenger
        assert [one(version) for version in self.champions[:-1]] == list(now.before)
        assert [set(self.champions[-1:]), {self.challenger} - {None}] == seen(self.workspace)

    def teardown(self):
        self.folder.cleanup()


TestPromotions = Promotions.TestCase
TestPromotions.settings = hypothesis_settings(max_examples=25, stateful_step_count=15, deadline=None)


def test_a_rollback_passes_over_what_is_gone(tmp_path):
    blessed(tmp_path, 1, 2, 3)
    for version in (1, 2, 3):
        promotion.promote(Workspace(tmp_path), f"plain@{version}")
    Workspace(tmp_path).model("plain", 2).rmdir()
    assert 1 == promotion.rollback(Workspace(tmp_path), "plain").after.champion.version
    with pytest.raises(PipelineError, match="there is no previous champion"):
        promotion.rollback(Workspace(tmp_path), "plain")


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("plain@9", UsageError, "There is no published version plain@9"),
        ("plain@x", UsageError, "plain@1, plain@2, plain@3"),
        ("other@1", UsageError, "No model 'other' is published"),
        ("other", UsageError, "No model 'other' is published"),
        ("plain", PipelineError, "Expected: a challenger, or one of plain@1, plain@2"),
        ("plain@2", PipelineError, r"No run in .* shows that plain@2 was blessed"),
        ("plain@3", PipelineError, "plain@3 was made by a --quick run"),
    ],
)
def test_what_cannot_be_promoted_and_why(tmp_path, text, error, words):
    blessed(tmp_path, 1)
    Workspace(tmp_path).model("plain", 2).mkdir()
    blessed(tmp_path, 3, quick=True)
    with pytest.raises(error, match=words) as caught:
        promotion.promote(Workspace(tmp_path), text)
    assert "\nNext: " in str(caught.value)
    assert {} == links(tmp_path) or [set(), set()] == seen(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.store import fileio
from pipeline.registry import serving_config, promotion
from pipeline.store.layout import Workspace

left = int(sys.argv[2])
def counted(write):
    def call(*arguments, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return write(*arguments, **options)
    return call

for name in ("symlink_to", "unlink", "replace", "mkdir"):
    setattr(Path, name, counted(getattr(Path, name)))
promotion.promote(Workspace(Path(sys.argv[1])), "plain@2")
"""


@pytest.mark.process
def test_killed_between_any_two_writes_it_is_whole_for_the_next_one(tmp_path):
    """The promotion is killed before its first write to the disk, before its second, and so on until it ends."""
    outcomes = []
    for count in range(30):
        workspace = tmp_path / str(count)
        blessed(workspace, 1, 2)
        promotion.promote(Workspace(workspace), "plain@1")
        ended = subprocess.run([sys.executable, "-c", KILLED, str(workspace), str(count)], check=False, env=os.environ)
        now = champions.current_entry(Workspace(workspace), "plain").champion.version
        assert all(versions <= {1, 2} for versions in seen(workspace))
        assert set() != seen(workspace)[0]  # never without a version
        serving_config.write_config(Workspace(workspace))
        assert [{now}, set()] == seen(workspace)
        assert f'key: "champion" value: {now} ' in (workspace / "serving" / "models.config").read_text()
        outcomes.append((ended.returncode, now))
        if ended.returncode == 0:
            break
    assert (0, 2) == outcomes[-1]
    assert {(-signal.SIGKILL, 1), (-signal.SIGKILL, 2), (0, 2)} == set(outcomes)
