"""The file `.env`, from which docker compose takes its variables: values by line, all else as it stands.

python-dotenv would read it, but `keraspipe secrets` and `deploy check` run in a checkout without any package, before
`make setup`. Its `set_key` would write it as UTF-8 with other ends of lines and doubled backslashes, too, which docker
compose reads as they stand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline import atomic
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*([^\r\n]*)", re.MULTILINE)
QUOTED = re.compile(r"""'(?P<plain>[^']*)'|"(?P<escaped>(?:\\.|[^"\\])*)\"""")
PLAIN = re.compile(r"[\w./:@%+,=-]+", re.ASCII)


def parse(text: str) -> dict[str, str]:
    """Variables and their values; of two lines with the same name the later one counts, as in docker compose."""
    return {name: _value(written) for name, written in ASSIGNMENT.findall(text)}


def assign(text: str, name: str, value: str) -> str:
    """The text with `name` set to `value`: in its own lines, or in a new one at the end.

    Raises:
        UsageError: No line can hold the value.
    """
    line = f"{name}={_written(value)}"
    pattern = rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=[^\r\n]*"
    changed, count = re.subn(pattern, lambda _: line, text, flags=re.MULTILINE)
    if count:
        return changed
    return text + ("\n" if text and not text.endswith("\n") else "") + line + "\n"


def read(path: Path) -> str:
    """The text, byte for byte: what is not UTF-8 comes out of `write` as it went in.

    Raises:
        OSError: There is no such file, or it cannot be read.
    """
    return path.read_bytes().decode("utf-8", "surrogateescape")


def write(path: Path, text: str) -> None:
    """Replaces the file; its permissions stay, and a link stays a link."""
    target = path.resolve()
    with atomic.file(target) as beside:
        beside.write_bytes(text.encode("utf-8", "surrogateescape"))
        if target.exists():
            beside.chmod(target.stat().st_mode & 0o777)


def _value(written: str) -> str:
    quoted = QUOTED.match(written)
    if not quoted:
        return re.split(r"(?:^|\s)#", written, maxsplit=1)[0].strip()  # a comment begins after a blank
    if quoted["plain"] is not None:
        return quoted["plain"]
    return re.sub(r'\\(["\\$])', r"\1", quoted["escaped"])


def _written(value: str) -> str:
    if PLAIN.fullmatch(value):
        return value
    if re.search(r"['\\\r\n]", value):
        raise UsageError(
            "A value of .env has one line, no single quotes and no backslashes.",
            expected="a path without them",
            received=repr(value),
            action="name another folder: keraspipe secrets --dir FOLDER",
        )
    return f"'{value}'"  # docker compose replaces no $ between single quotes; a backslash would hide the last one
