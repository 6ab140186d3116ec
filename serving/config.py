"""Which models to serve: found in a folder, or listed in a `ModelServerConfig` file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from serving.core.storage import numbered
from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.options import ServeOptions


@dataclass(frozen=True)
class ModelConfig:
    """One model to serve.

    Attributes:
        name: What clients call it.
        base_path: Folder with one numbered folder per version.
        latest: How many of the highest versions to serve; 0 for all.
        specific: Versions to serve instead.
        labels: Versions by label.
    """

    name: str
    base_path: Path
    latest: int = 1
    specific: tuple[int, ...] | None = None
    labels: dict[str, int] = field(default_factory=dict)

    def wanted(self, versions: list[int]) -> list[int]:
        """Those of the versions on disk that are to be served, highest first."""
        ordered = sorted(versions, reverse=True)
        if self.specific is not None:
            return [version for version in ordered if version in self.specific]
        return ordered[: self.latest] if self.latest else ordered


def source(options: ServeOptions) -> Callable[[], list[ModelConfig]]:
    """A function that lists the models to serve now; it is asked again at every poll."""
    if options.model_config_file:
        listed = read_config(options.model_config_file)
        return lambda: listed
    if options.base_path is None:
        return list
    base_path = options.base_path
    return lambda: in_folder(base_path, options.names)


def in_folder(base_path: Path, names: tuple[str, ...] = ()) -> list[ModelConfig]:
    """The models of a folder: those named, else every child that has a numbered folder.

    Raises:
        OSError: The folder cannot be read; whoever polls then leaves everything as it is.
    """
    if names:
        return [ModelConfig(name, base_path / name) for name in names]
    children = sorted(child for child in base_path.iterdir() if child.is_dir() and not child.name.startswith("."))
    return [ModelConfig(child.name, child) for child in children if numbered(child)]


def read_config(path: Path) -> list[ModelConfig]:
    """The models of a `tensorflow.serving.ModelServerConfig` in protobuf's text form.

    Raises:
        InvalidArgument: The file cannot be parsed or lists a model twice.
    """
    from google.protobuf import text_format

    from serving.wire import protos

    config_pb2 = protos.load("config.model_server_config_pb2")
    try:
        message = text_format.Parse(path.read_text(), config_pb2.ModelServerConfig())
    except text_format.ParseError as error:
        raise InvalidArgument(f"Error parsing text-format tensorflow.serving.ModelServerConfig: {error}") from error
    configs = [_of_proto(item) for item in message.model_config_list.config]
    names = [config.name for config in configs]
    for name in names:
        if names.count(name) > 1:
            raise InvalidArgument(f"Illegal to list model {name} multiple times in config list")
    return configs


def _of_proto(item: object) -> ModelConfig:
    policy = item.model_version_policy  # type: ignore[attr-defined]
    kind = policy.WhichOneof("policy_choice")
    return ModelConfig(
        name=item.name,  # type: ignore[attr-defined]
        base_path=Path(item.base_path),  # type: ignore[attr-defined]
        latest=0 if kind == "all" else policy.latest.num_versions or 1,
        specific=tuple(policy.specific.versions) if kind == "specific" else None,
        labels=dict(item.version_labels),  # type: ignore[attr-defined]
    )
