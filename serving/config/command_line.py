"""A command line of flags, parsed as tensorflow_model_server does, and its help."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import TYPE_CHECKING, Any

from serving.config.flags import FLAGS_BY_KEY, OWN_FLAGS, TF_SERVING_FLAGS, Flag, FlagError, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ENVIRONMENT = """\
Environment, after the flags:
  KERASPIPE_SERVING_HOST                          as --host
  KERASPIPE_SERVING_TOKEN                         the token itself
  KERASPIPE_SERVING_INSECURE=1                    as --insecure"""
_WRITTEN = re.compile(r"--?(?P<name>[\w-]+)(?P<value>=.*)?", re.DOTALL)
_WIDTH = 120


class CommandLine(dict[str, Any]):
    """Values of the flags that are there, by key; of the others `[]` gives the default.

    Attributes:
        names: What is no flag.
    """

    def __init__(self, given: Mapping[str, Value], names: Sequence[str]) -> None:
        super().__init__(given)
        self.names = tuple(names)

    def __missing__(self, key: str) -> Any:
        return FLAGS_BY_KEY[key].default


def parse(arguments: Sequence[str], more: Sequence[Flag] = ()) -> CommandLine:
    """Takes a command line apart; of a flag given twice the last counts, unless it is one that repeats.

    Args:
        arguments: The command line without the program.
        more: Flags in addition to those of the table.

    Raises:
        FlagError: A flag is unknown or its value cannot be read.
    """
    known = {**FLAGS_BY_KEY, **{flag.key: flag for flag in more}}
    end = arguments.index("--") if "--" in arguments else len(arguments)
    try:
        given, rest = _parser(more).parse_known_args([_canonical(text, known) for text in arguments[:end]])
    except argparse.ArgumentError as error:  # the only one left to it: values are read by `Flag.read`
        name = str(error.argument_name)
        takes = known[name.removeprefix("--").replace("-", "_")].takes or "VALUE"
        raise FlagError(f"{name} has no value.", expected=f"{name}={takes}") from None
    for text in rest:
        if text.startswith("-") and text != "-":
            raise _unknown(text, known)
    values = {key: ",".join(value) if isinstance(value, list) else value for key, value in vars(given).items()}
    return CommandLine(values, [*rest, *arguments[end + 1 :]])


def help_text(usage: str, description: str, example: str, more: Sequence[Flag] = ()) -> str:
    """All flags with one line each: those made for people first, then TensorFlow Serving's.

    Args:
        usage: The command, with what it takes.
        description: What it does.
        example: A command that runs; the last line.
        more: Flags of this command only.
    """
    parser = _parser(more)
    parser.usage, parser.description = usage, description
    parser.epilog = f"{_ENVIRONMENT}\n\nexample: {example}"
    return parser.format_help()


def version() -> str:
    """The versions of this server and of its runtime, in one line."""
    from importlib import metadata

    return f"keraspipe ModelServer: {metadata.version('keraspipe')}, TensorFlow {metadata.version('tensorflow')}"


def _parser(more: Sequence[Flag]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        formatter_class=_Format,
        argument_default=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    friendly = parser.add_argument_group("Flags, with - or _ in their names, as --name=value or --name value")
    serving = parser.add_argument_group("Flags of tensorflow_model_server")
    for group, flags in ((friendly, (*more, *OWN_FLAGS)), (serving, TF_SERVING_FLAGS)):
        for flag in flags:
            metavar = None if flag.is_switch else flag.takes
            action = "append" if flag.repeats else "store"
            group.add_argument(f"--{flag.name}", type=flag.read, action=action, metavar=metavar, help=flag.help)
    return parser


class _Format(argparse.RawDescriptionHelpFormatter):
    """A line for each flag, with what it takes after an equals sign."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=50, width=_WIDTH)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return action.option_strings[0] + (f"={action.metavar}" if action.metavar else "")


def _canonical(text: str, known: Mapping[str, Flag]) -> str:
    """A flag as the parser knows it, however its name is written; a boolean alone means true."""
    written = _WRITTEN.fullmatch(text)
    key = written["name"].replace("-", "_") if written else ""
    flag = known.get("help" if key == "h" else key)
    if not written or not flag:
        return text
    return f"--{flag.name}{written['value'] or ('=true' if flag.is_switch else '')}"


def _unknown(text: str, known: Mapping[str, Flag]) -> FlagError:
    written = text.partition("=")[0]
    close = difflib.get_close_matches(written.lstrip("-").replace("-", "_"), known, n=2)
    hint = " or ".join(f"--{known[key].name}" for key in close)
    return FlagError(f"There is no flag {written}" + (f"; did you mean {hint}?" if hint else "."))
