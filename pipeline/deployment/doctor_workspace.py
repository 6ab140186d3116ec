"""The files of a workspace: which are damaged, which lead elsewhere, and how `keraspipe doctor --repair` mends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.deployment.doctor import Finding
from pipeline.errors import DamagedFileError
from pipeline.store import integrity, relocation, repair

if TYPE_CHECKING:
    from pipeline.store.integrity import Damage
    from pipeline.store.layout import Workspace

REPAIR = "keraspipe doctor --repair"


def examine(workspace: Workspace) -> list[Finding]:
    """Returns the findings on the files of a workspace; one that does not exist yet is sound."""
    damages = integrity.find_damage(workspace)
    if damages:
        return [damage_finding(workspace, damage) for damage in damages]
    return [Finding("files", ok=True, found="all that keraspipe needs can be read"), *_location_findings(workspace)]


def damage_finding(workspace: Workspace, damage: Damage) -> Finding:
    """The finding on a damaged file."""
    name = workspace.relative(damage.path)
    return Finding(
        "files", ok=False, found=f"{name} is damaged: {damage.reason}", fix=f"{REPAIR}   (it {damage.remedy})"
    )


def _location_findings(workspace: Workspace) -> list[Finding]:
    try:
        elsewhere = relocation.former_locations(workspace)
    except DamagedFileError:  # written at this moment
        return []
    if not elsewhere:
        return []
    state = f"the databases lead to {elsewhere[0]}, where the workspace was"
    return [
        Finding("location", ok=False, found=state, fix=f"{REPAIR}   (or the next run or dashboard)", essential=False)
    ]


def repair_files(workspace: Workspace) -> list[Damage]:
    """Repairs the damaged files, and has the databases follow a workspace that was moved; returns what was damaged.

    Raises:
        PipelineError: A process is using the workspace.
    """
    damages = integrity.find_damage(workspace)
    if damages:
        repair.repair_damage(workspace, damages)
    if workspace.root.exists():
        with relocation.hold_location(workspace):
            pass
    return damages
