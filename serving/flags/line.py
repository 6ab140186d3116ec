"""A command line taken apart, as tensorflow_model_server's flags are: `--name=value`, and `--name value` too."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving.flags import table
from serving.flags.flag import Flag, FlagError, Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True)
class CommandLine:
    """What a command line says.

    Attributes:
        given: Values of the flags that are there, by key.
        names: What is no flag.
    """

    given: dict[str, Value] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Any:
        """The value given, or the flag's default."""
        return self.given.get(key, table.ALL[key].default)

    def get(self, key: str, other: Any) -> Any:
        """The value given, or another one."""
        return self.given.get(key, other)

    def __contains__(self, key: str) -> bool:
        return key in self.given


def parse(arguments: Sequence[str], more: Sequence[Flag] = ()) -> CommandLine:
    """Takes a command line apart; of a flag given twice the last counts, unless it is one that repeats.

    Args:
        arguments: The command line without the program.
        more: Flags beside those of the table.

    Raises:
        FlagError: A flag is unknown or its value cannot be read.
    """
    known = {**table.ALL, **{flag.key: flag for flag in more}}
    given: dict[str, Value] = {}
    names: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            names.extend(rest)
        elif not argument.startswith("-") or argument == "-":
            names.append(argument)
        else:
            flag, value = _flag(argument, rest, known)
            given[flag.key] = f"{given[flag.key]},{value}" if flag.repeats and flag.key in given else value
    return CommandLine(given, tuple(names))


def _flag(argument: str, rest: Iterator[str], known: Mapping[str, Flag]) -> tuple[Flag, Value]:
    name, equals, text = argument.removeprefix("-").removeprefix("-").partition("=")
    key = "help" if name == "h" else name.replace("-", "_")
    if key not in known:
        raise _unknown(argument.partition("=")[0], key, known)
    flag = known[key]
    if equals:
        return flag, flag.read(text)
    if flag.is_switch:
        return flag, True
    following = next(rest, None)
    if following is None or following.startswith("--"):
        raise FlagError(f"--{flag.name} has no value.", expected=f"--{flag.name}={flag.takes or 'VALUE'}")
    return flag, flag.read(following)


def _unknown(written: str, key: str, known: Mapping[str, Flag]) -> FlagError:
    close = difflib.get_close_matches(key, known, n=2)
    hint = " or ".join(f"--{known[one].name}" for one in close)
    return FlagError(f"There is no flag {written}" + (f"; did you mean {hint}?" if hint else "."))
