"""Which models to serve: found in a folder, named one by one, or listed in a `ModelServerConfig`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.core.storage import has_version
from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from serving.options import ServeOptions

PLATFORM = "tensorflow"
_SCHEME = "://"


@dataclass(frozen=True)
class ModelConfig:
    """One model to serve.

    Attributes:
        name: What clients call it.
        base_path: Folder with one numbered folder per version.
        latest: How many of the highest versions to serve; 0 for all.
        specific: Versions to serve instead; empty for none.
        labels: Versions by label.
        logging: The `tensorflow.serving.LoggingConfig` of its requests.
        optional: Whether a folder that is missing only means no versions; else it fails the whole look.
    """

    name: str
    base_path: Path
    latest: int = 1
    specific: tuple[int, ...] | None = None
    labels: dict[str, int] = field(default_factory=dict)
    logging: Any | None = None
    optional: bool = False

    def wanted(self, versions: Iterable[int]) -> list[int]:
        """Those of the versions on disk that are to be served, highest first."""
        ordered = sorted(versions, reverse=True)
        if self.specific is not None:
            chosen = frozenset(self.specific)
            return [version for version in ordered if version in chosen]
        return ordered[: self.latest] if self.latest else ordered

    @property
    def wants_any(self) -> bool:
        """Whether there can be a version that is served: an empty list of specific ones serves none."""
        return self.specific is None or bool(self.specific)


def source(options: ServeOptions) -> Callable[[], list[ModelConfig]]:
    """A function that lists the models to serve now; it is asked again at every poll.

    Raises:
        InvalidArgument: The config file cannot be parsed or asks for what cannot be.
    """
    if options.source:
        return options.source
    if options.model_config_file:
        listed = read_config(options.model_config_file)
        return lambda: listed
    if options.model:
        single = [ModelConfig(options.model[0], options.model[1].absolute())]
        return lambda: single
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
        return [ModelConfig(name, base_path / name, optional=True) for name in names]
    children = sorted(child for child in base_path.iterdir() if child.is_dir() and not child.name.startswith("."))
    return [ModelConfig(child.name, child, optional=True) for child in children if has_version(child)]


def read_config(path: Path) -> list[ModelConfig]:
    """The models of a `tensorflow.serving.ModelServerConfig` in protobuf's text form.

    Raises:
        InvalidArgument: The file cannot be read or parsed, or asks for what cannot be.
    """
    return of_message(read_message(path))


def read_message(path: Path) -> Any:
    """A `tensorflow.serving.ModelServerConfig` from its text form.

    Raises:
        InvalidArgument: `Error parsing text-format tensorflow.serving.ModelServerConfig`, or no such file.
    """
    from google.protobuf import text_format

    from serving.wire import protos

    message = protos.load("config.model_server_config_pb2").ModelServerConfig()
    try:
        text_format.Parse(path.read_text(), message)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"Error parsing text-format tensorflow.serving.ModelServerConfig: {path}: {error}"
        ) from error
    except OSError as error:
        raise InvalidArgument(f"The models' config file cannot be read: {error}") from error
    return message


def of_message(message: Any, served: Iterable[str] = ()) -> list[ModelConfig]:
    """The models of a `tensorflow.serving.ModelServerConfig`, checked in upstream's order.

    Args:
        message: The config.
        served: Names of the models that are configured now: their platform cannot change.

    Raises:
        InvalidArgument: A custom config, a name twice, a relative path, or another platform.
    """
    if message.WhichOneof("config") == "custom_model_config":
        raise InvalidArgument("Missing custom_model_config_loader in ServerCore Options")
    items = list(message.model_config_list.config)
    _check_names([item.name for item in items])
    for item in items:
        _check_path(item)
    known = frozenset(served)
    for item in items:
        _check_platform(item, item.name in known)
    return [_of_item(item) for item in items]


def _check_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not name:
            raise InvalidArgument("A model of the config list has no name.")
        if name in seen:
            raise InvalidArgument(f"Illegal to list model {name} multiple times in config list")
        seen.add(name)


def _check_path(item: Any) -> None:
    if not item.base_path.startswith("/") and _SCHEME not in item.base_path:
        raise InvalidArgument(
            f"Expected model {item.name} to have an absolute path or URI; got base_path()={item.base_path}"
        )


def _check_platform(item: Any, served: bool) -> None:
    platform = _platform(item)
    if platform == PLATFORM:
        return
    if served:
        raise InvalidArgument(
            f"Illegal to change a model's platform. For model {item.name} platform was {PLATFORM} "
            f"and new platform requested is {platform}"
        )
    raise InvalidArgument(f"Model {item.name} requests unsupported platform {platform}")


def _platform(item: Any) -> str:
    """The platform by its name, or by the number that came before names."""
    if item.model_type and item.model_platform:
        raise InvalidArgument(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform."
        )
    if item.model_type not in {0, 1}:  # 1 is TENSORFLOW
        raise InvalidArgument(f"ModelServerConfig::model_type choice {item.model_type} not supported.")
    platform: str = PLATFORM if item.model_type else item.model_platform
    if not platform:
        raise InvalidArgument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform."
        )
    return platform


def _of_item(item: Any) -> ModelConfig:
    policy = item.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    return ModelConfig(
        name=item.name,
        base_path=Path(item.base_path),
        latest=0 if kind == "all" else policy.latest.num_versions or 1,
        specific=tuple(policy.specific.versions) if kind == "specific" else None,
        labels=dict(item.version_labels),
        logging=item.logging_config if item.HasField("logging_config") else None,
    )
