"""Commands that need no TensorFlow, and a run that is answered from its record: wall seconds of whole processes.

There is no baseline; the bounds are seconds.
"""

from __future__ import annotations

from benchmarks.measure import Row, fresh, keraspipe, say

REPEAT = 5
COMMANDS = (("--help",), ("models",), ("show", "digits"), ("runs",))
COMMAND_S = 0.5
AGAIN_S = 1.0


def measure(repeat: int) -> list[Row]:
    """The commands on a workspace with one finished run, and the same run again."""
    with fresh() as folder:
        workspace = folder / "workspace"
        say("  a first run of digits, not measured")
        keraspipe(workspace, "run", "digits")
        commands = [(command, COMMAND_S) for command in COMMANDS] + [(("run", "digits"), AGAIN_S)]
        seconds: dict[tuple[str, ...], list[float]] = {command: [] for command, _ in commands}
        for _ in range(repeat):
            for command, measured in seconds.items():
                measured.append(keraspipe(workspace, *command)[0])
    return [Row(_name(command), "s", seconds[command], at_most=bound) for command, bound in commands]


def _name(command: tuple[str, ...]) -> str:
    again = ", nothing changed" if command[0] == "run" else ""
    return f"keraspipe {' '.join(command)}{again}"
