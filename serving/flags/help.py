"""What `--help` and `--version` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.flags import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.flags.flag import Flag

_ENVIRONMENT = """\
  KERASPIPE_SERVING_HOST                          as --host
  KERASPIPE_SERVING_TOKEN                         the token itself
  KERASPIPE_SERVING_INSECURE=1                    as --insecure"""


def text(usage: str, description: str, example: str, more: Sequence[Flag] = ()) -> str:
    """All flags with one line each: those made for people first, then TensorFlow Serving's.

    Args:
        usage: The command, with what it takes.
        description: What it does.
        example: A command that runs; the last line.
        more: Flags of this command only.
    """
    parts = [
        f"usage: {usage}",
        description,
        "Flags, with - or _ in their names, as --name=value or --name value:\n" + _lines([*more, *table.FRIENDLY]),
        "Flags of tensorflow_model_server:\n" + _lines(table.SERVING),
        "Environment, after the flags:\n" + _ENVIRONMENT,
        f"example: {example}\n",
    ]
    return "\n\n".join(parts)


def version() -> str:
    """The versions of this server and of its runtime, in one line."""
    from importlib import metadata

    return f"keraspipe ModelServer: {metadata.version('keraspipe')}, TensorFlow {metadata.version('tensorflow')}"


def _lines(flags: Sequence[Flag]) -> str:
    return "\n".join(_line(flag) for flag in flags)


def _line(flag: Flag) -> str:
    written = f"  --{flag.name}" + ("" if flag.is_switch else f"={flag.takes}")
    default = flag.shown or (
        "" if flag.default in ("", False) and not isinstance(flag.default, float) else _shown(flag)
    )
    return f"{written:<47} {flag.words}" + (f" (default: {default})" if default else "")


def _shown(flag: Flag) -> str:
    if isinstance(flag.default, bool):
        return str(flag.default).lower()
    return f"{flag.default:g}" if isinstance(flag.default, float) else str(flag.default)
