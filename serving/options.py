"""What an embedded server is started with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ServeOptions:
    """How to serve a folder of models.

    Attributes:
        base_path: Folder that holds `NAME/VERSION/saved_model.pb`.
        names: Models to serve; empty for all of the folder, looked for again at every poll.
        host: Address to listen at; loopback unless asked otherwise, as there is no authentication.
        rest_port: Port of the REST API; 0 for any free one.
        grpc_port: Port of the gRPC API; 0 for any free one.
        poll_seconds: Pause between two looks at the folder.
        model_config_file: A `ModelServerConfig` in text form; it takes the place of `base_path` and `names`.
        drain_seconds: How long requests in flight may take after SIGTERM.
    """

    base_path: Path
    names: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    rest_port: int = 8501
    grpc_port: int = 8500
    poll_seconds: float = 1.0
    model_config_file: Path | None = None
    drain_seconds: float = 30.0
