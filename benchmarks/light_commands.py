"""Wall seconds of commands that import no TensorFlow, and of a run in which nothing changed.

Whole processes are measured. There is no baseline; the targets are seconds.
"""

from __future__ import annotations

from benchmarks.measure import Row, fresh, keraspipe, say

REPEAT = 5
COMMANDS = (("--help",), ("models",), ("show", "digits"), ("runs",))
COMMAND_S = 0.5
AGAIN = ("run", "digits", "--json")
AGAIN_S = 1.0


def measure(repeat: int) -> list[Row]:
    """Measures the commands on a workspace with one finished run, and the same run again."""
    with fresh() as folder:
        workspace = folder / "workspace"
        say("  a first run of digits, not measured")
        _, first = keraspipe(workspace, *AGAIN)
        commands = [(command, COMMAND_S) for command in COMMANDS] + [(AGAIN, AGAIN_S)]
        seconds: dict[tuple[str, ...], list[float]] = {command: [] for command, _ in commands}
        for _ in range(repeat):
            for command, measured in seconds.items():
                wall_s, out = keraspipe(workspace, *command)
                measured.append(wall_s)
                if command == AGAIN and out != first:
                    raise RuntimeError("The run was repeated, not read from its record: did a source file change?")
    return [Row(_name(command), "s", seconds[command], at_most=bound) for command, bound in commands]


def _name(command: tuple[str, ...]) -> str:
    again = ", nothing changed" if command[0] == "run" else ""
    return f"keraspipe {' '.join(command)}{again}"
