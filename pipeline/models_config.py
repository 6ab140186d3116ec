"""`models.config` of the published models, as tensorflow/serving reads it with --model_config_file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import atomic, champion

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = """\
  config {{
    name: "{name}"
    base_path: "{base_path}"
    model_platform: "tensorflow"
  }}
"""


def text(names: list[str], base: str) -> str:
    """The configuration of the given models under a base path.

    Source: tensorflow_serving/config/model_server_config.proto.
    """
    escaped = base.replace("\\", "\\\\").replace('"', '\\"')
    entries = "".join(ENTRY.format(name=name, base_path=f"{escaped}/{name}") for name in names)
    return f"model_config_list {{\n{entries}}}\n"


def write(workspace: Path) -> None:
    """Replaces WORKSPACE/serving/models.config; the workspace has the same path where the server runs."""
    serving = workspace / "serving"
    names = sorted(folder.name for folder in serving.glob("*") if champion.versions(workspace, folder.name))
    with atomic.file(serving / "models.config") as beside:
        beside.write_text(text(names, str(serving)))
