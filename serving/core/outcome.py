"""Whether models that were asked for are served, or why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.core.servable import State
from serving.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.config import ModelConfig
    from serving.core.servable import Servable
    from serving.core.watcher import Watcher


def settled(watcher: Watcher, configs: Iterable[ModelConfig], *, first_try: bool = False) -> bool:
    """Whether every wanted version of the models is served or has failed.

    Args:
        watcher: Who loads them.
        configs: The models.
        first_try: Whether a version has failed already when it is still to be tried again.
    """
    return all(_is_over(servable, first_try) for one in configs for servable in watcher.wanted(one.name))


def _is_over(servable: Servable, first_try: bool) -> bool:
    if servable.state is State.END:
        return servable.error is not None  # without one, the next look begins it anew
    return servable.state is State.AVAILABLE or (first_try and servable.trouble is not None)


def absent(watcher: Watcher, configs: Iterable[ModelConfig]) -> list[str]:
    """Names of the models that have no version on disk, though they could have one."""
    return [one.name for one in configs if one.wants_any and not watcher.wanted(one.name)]


def check(watcher: Watcher, configs: Iterable[ModelConfig]) -> None:
    """Refuse models of which no version is served.

    Raises:
        ServingError: `1 servable(s) did not become available: {{{name: X version: N} due to error: ...}, }`
    """
    configs = list(configs)
    failures = [text for one in configs if (text := _failure(one.name, watcher.wanted(one.name)))]
    failures += [
        f"{{{{name: {name}}} due to error: NOT_FOUND: There is no version folder (yet)}}, "
        for name in absent(watcher, configs)
    ]
    if failures:
        raise ServingError(f"{len(failures)} servable(s) did not become available: {{{''.join(failures)}}}")


def _failure(name: str, servables: list[Servable]) -> str:
    """The text about a model none of whose versions is served: its highest one's error."""
    if not servables or any(one.state is State.AVAILABLE for one in servables):
        return ""
    first = servables[0]
    error = first.error.text if first.error else "CANCELLED: It is not to be served any more"
    return f"{{{{name: {name} version: {first.version}}} due to error: {error}}}, "
