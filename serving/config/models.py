"""List the models to serve: all models of a folder, one by name, or those of a `ModelServerConfig`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.config.version_folders import has_version
from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from serving.options import ServeOptions

from serving.options import ModelConfig

PLATFORM = "tensorflow"
_SCHEME = "://"


def model_source(options: ServeOptions) -> Callable[[], list[ModelConfig]]:
    """Returns a function that lists the models to serve now; it is called again at every poll.

    Raises:
        InvalidArgument: The config file cannot be parsed or has invalid settings.
    """
    if options.source:
        return options.source
    if options.model_config_file:
        listed = read_config_file(options.model_config_file)
        return lambda: listed
    if options.model:
        single = [ModelConfig(options.model[0], options.model[1].absolute())]
        return lambda: single
    if options.base_path is None:
        return list
    base_path = options.base_path
    return lambda: list_folder(base_path, options.names)


def list_folder(base_path: Path, names: tuple[str, ...] = ()) -> list[ModelConfig]:
    """The models of a folder: those named, else every child that has a numbered folder.

    Raises:
        OSError: The folder cannot be read; whoever polls then leaves everything as it is.
    """
    if names:
        return [ModelConfig(name, base_path / name, optional=True) for name in names]
    children = sorted(child for child in base_path.iterdir() if child.is_dir() and not child.name.startswith("."))
    return [ModelConfig(child.name, child, optional=True) for child in children if has_version(child)]


def read_config_file(path: Path) -> list[ModelConfig]:
    """The models of a `tensorflow.serving.ModelServerConfig` in protobuf's text form.

    Raises:
        InvalidArgument: The file cannot be read or parsed, or has invalid settings.
    """
    return from_config_message(read_config_message(path))


def read_config_message(path: Path) -> Any:
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


def from_config_message(message: Any, served: Iterable[str] = ()) -> list[ModelConfig]:
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
    return [_from_item(item) for item in items]


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


def _from_item(item: Any) -> ModelConfig:
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
