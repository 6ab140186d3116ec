"""The environment of a run in MLflow: tags to search by, the facts as a file, and the packages as pip lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from pipeline.tracking.destination import Destination

FOLDER = "environment"


def record(destination: Destination, run_id: str, path: Path) -> None:
    """Writes what the event `environment` points to."""
    facts = atomic.read_json(path)
    client = destination.client
    destination.set_tags(run_id, tags(facts))
    client.log_artifact(run_id, str(path), FOLDER)
    client.log_text(run_id, requirements(facts), f"{FOLDER}/requirements.txt")


def tags(facts: Mapping[str, Any]) -> dict[str, object]:
    """What runs are told apart by; MLflow's page links a commit under its own name."""
    git, gpu = facts.get("git", {}), facts.get("gpu", [])
    found = {
        "python": facts["python"],
        "tensorflow": facts["tensorflow"]["version"],
        "uv_lock": facts["lock"],
        "cpu_cores": facts["cpu"]["cores"],
        "gpu": ", ".join(gpu) or "none",
    }
    if git:
        found |= {"mlflow.source.git.commit": git["commit"], "git_dirty": git["dirty"]}
    return found


def requirements(facts: Mapping[str, Any]) -> str:
    """One package a line, pinned."""
    return "".join(f"{name}=={version}\n" for name, version in facts["packages"].items())
