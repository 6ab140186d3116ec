"""The command line: finds the command, parses its arguments, runs it and prints its errors.

Each command is a file of `pipeline.commands`, imported only when it is called: nothing heavy is loaded before.
"""

from __future__ import annotations

import argparse
import errno
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline import console, errors, settings
from pipeline.errors import PipelineError
from pipeline.store import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE_ERROR = 2
# Of a place that is named badly, not of a fault here: full or read-only disks, rights, a folder that is none.
UNUSABLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
)
# What each command does, and an example that runs. The command's module is imported only when it is called.
COMMANDS = {
    "models": ("List the recipes.", "keraspipe models --json"),
    "show": (
        "Show a recipe: description, hyperparameters, and gate (the checks before a model may go live).",
        "keraspipe show digits",
    ),
    "new": (
        "Write a recipe for your own data.",
        (
            "keraspipe new fares --target fare --data "
            ".venv/lib/python3.11/site-packages/tfx/examples/chicago_taxi_pipeline/data/simple/data.csv"
        ),
    ),
    "doctor": ("Check this machine, and show how to fix what is wrong.", "keraspipe doctor"),
    "run": ("Run a recipe's pipeline, and publish the model if it passes the gate.", "keraspipe run digits --quick"),
    "tune": ("Search a recipe's hyperparameters and architecture.", "keraspipe tune digits --trials 12 --quick"),
    "node": ("Make this machine a node of trainings on several machines.", "keraspipe node --port 2222"),
    "runs": ("List the runs of the workspace, or show one.", "keraspipe runs --json"),
    "compare": ("Compare two runs.", "keraspipe compare digits@1 digits@2"),
    "lineage": ("Show where a published version comes from.", "keraspipe lineage digits@1"),
    "gc": ("List old runs and versions that nothing needs, or delete them.", "keraspipe gc --days 14"),
    "promote": ("Make a version the champion, the version that is live.", "keraspipe promote digits@1"),
    "rollback": ("Make the previous champion the champion again.", "keraspipe rollback digits"),
    "challenger": (
        "Make a version the challenger, served next to the champion as NAME-challenger.",
        "keraspipe challenger digits@2",
    ),
    "sync": ("Apply aliases that were changed in MLflow, and send it what it has missed.", "keraspipe sync digits"),
    "card": ("Show the model card of a published version: use, metrics, limits, lineage.", "keraspipe card digits"),
    "reproduce": ("Repeat a run, and show the difference.", "keraspipe reproduce digits@1"),
    "schema": ("Show or accept changes of the data's schema.", "keraspipe schema diff digits"),
    "serve": ("Serve the published models over REST and gRPC.", "keraspipe serve digits --rest-port 8501"),
    "predict": ("Predict with a published model.", "keraspipe predict digits image.png"),
    "chat": ("Chat with a published language model.", "keraspipe chat MODEL"),
    "explain": ("Show which pixels, words or columns decided a prediction.", "keraspipe explain digits image.png"),
    "loadtest": ("Send load to a server, and measure its latency.", "keraspipe loadtest digits --rate 200"),
    "monitor": ("Find drift between live requests and the training data.", "keraspipe monitor digits --since 1d"),
    "compile": ("Write the pipeline as a file for Kubeflow Pipelines.", "keraspipe compile digits --to kubeflow"),
    "dashboard": ("Open MLflow on this workspace.", "keraspipe dashboard digits --port 5000"),
    "deploy": ("Check this machine as a host of the docker compose stack.", "keraspipe deploy check --profile gpu"),
    "secrets": ("Create the secrets that docker compose up needs.", "keraspipe secrets --self-signed"),
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors have the form of all others."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Prints the error and exits with code 2."""
        self.exit(USAGE_ERROR, f"{self.prog}: {message}\nNext: {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0 for success, 1 failure, 2 wrong usage, 3 not blessed, 4 drift."""
    options = parse(list(sys.argv[1:] if argv is None else argv))
    return _report_errors(options) if options.command else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parses the arguments; exits with code 2 if they are wrong."""
    name = arguments[0] if arguments else ""
    if name == "serve":  # its many flags have a parser of their own
        return argparse.Namespace(**vars(_import_command(name).parse(arguments[1:])))
    if name in COMMANDS:
        options = parser(name).parse_intermixed_args(arguments[1:])  # predict NAME --json INPUT
        return argparse.Namespace(command=name, **vars(options))
    overview = _overview_parser()
    if name and not name.startswith("-"):
        hint = errors.did_you_mean(name, COMMANDS)
        overview.error(f"there is no command {name!r}" + (f"; {hint}" if hint else ""))
    options = overview.parse_args(arguments)
    overview.print_help()
    return options


def script() -> None:
    """Runs the command and exits at once, as the console script."""
    console.exit_now(main())


def _report_errors(options: argparse.Namespace) -> int:
    config = settings.from_environment(options.workspace)
    try:
        return _run_command(options, config)
    except PipelineError as error:
        if config.debug:
            raise
        console.say(f"keraspipe: {error}", error=True)
        return error.exit_code
    except KeyboardInterrupt:
        console.say("\nInterrupted. Run the same command again to continue.", error=True)
        return 1
    except BrokenPipeError:
        # The reader has closed the pipe; there is nothing left to flush.
        sys.stdout = None  # type: ignore[assignment]
        return 0
    except OSError as error:
        if config.debug or error.errno not in UNUSABLE:
            raise
        console.say(f"keraspipe: {layout.unusable_error(config.workspace, error)}", error=True)
        return 1


def _run_command(options: argparse.Namespace, config: settings.Settings) -> int:
    return int(_import_command(options.command).command(options, config))


def _import_command(command: str) -> Any:
    return import_module(f"pipeline.commands.{command}")


def parser(name: str) -> Parser:
    """Returns the parser of one command."""
    words, example = COMMANDS[name]
    command_parser = Parser(prog=f"keraspipe {name}", description=words, epilog=f"example: {example}")
    command_parser.add_argument("--workspace", metavar="DIR", help="default: ./workspace, or KERASPIPE_WORKSPACE")
    _import_command(name).arguments(command_parser)
    return command_parser


def _overview_parser() -> Parser:
    overview = Parser(
        prog="keraspipe",
        description="From raw data to a served deep-learning model.",
        epilog="example: keraspipe run digits",
    )
    subparsers = overview.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, (words, _) in COMMANDS.items():
        subparsers.add_parser(name, help=words, add_help=False)
    return overview


if __name__ == "__main__":
    script()
