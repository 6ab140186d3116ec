"""`keraspipe tune`: searches a recipe's hyperparameters and architecture, and runs the best."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from pipeline import run, workspace
from pipeline.commands import run as command_run
from pipeline.commands import standing
from pipeline.commands.options import add_json
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.run import Result
    from pipeline.settings import Settings
    from pipeline.tuning.search import Found, Search

WAITING = "The same search is going on in another process; waiting for it."
TRIALS = 20


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--trials",
        type=int,
        default=TRIALS,
        metavar="N",
        help=f"how many in all, with those of the same search before (default: {TRIALS})",
    )
    parser.add_argument("--only", default="", metavar="KEY,KEY", help="search these (default: all that have a range)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a hyperparameter that stays; may be repeated"
    )
    parser.add_argument(
        "--objective",
        default="val_loss",
        metavar="METRIC",
        help="of the eval split, as the curves name it, such as val_accuracy (default: val_loss)",
    )
    parser.add_argument("--quick", action="store_true", help="a small sample and few epochs")
    parser.add_argument("--seed", type=int, default=1, help="seed of the search and of each training (default: 1)")
    parser.add_argument("--no-run", dest="run", action="store_false", help="do not run the best trial afterwards")
    parser.set_defaults(until=run.STEPS[-1], cache=True, alias="champion")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Searches, shows what was found, and has it trained and judged by an ordinary run."""
    asked = _asked(options, settings)
    workspace.prepare(settings.workspace)
    standing.repaired(settings)
    from pipeline.tuning import search, terminal

    found = search.search(
        asked,
        lambda trial, best: print(terminal.line(trial, best, asked), file=sys.stderr, flush=True),
        lambda: print(WAITING, file=sys.stderr, flush=True),
    )
    if not options.json:
        print("\n".join(terminal.summary(found, asked)), flush=True)
    result = _run(asked, found) if options.run else None
    if options.json:
        print(json.dumps(_described(asked, found, result)))
    elif result:
        print("\n".join(command_run.summary(result, asked.request)))
    return command_run.NOT_BLESSED if result and result.blessed is False else 0


def _asked(options: Namespace, settings: Settings) -> Search:
    from pipeline.tuning import space
    from pipeline.tuning.search import Search

    if options.trials < 1:
        raise UsageError("There is nothing to search.", expected="--trials of at least 1", received=options.trials)
    if not options.objective.startswith("val_"):
        raise UsageError(
            "The objective is measured on rows that were not trained on.",
            expected="a metric of the eval split, val_…, such as val_loss",
            received=options.objective,
        )
    request = command_run.requested(options, settings)
    only = [name.strip() for name in options.only.split(",") if name.strip()]
    fixed = {assignment.partition("=")[0] for assignment in options.set}
    return Search(request, space.space(request.source, request.params, only, fixed), options.objective, options.trials)


def _run(asked: Search, found: Found) -> Result:
    from pipeline import execution
    from pipeline.tuning import search

    return execution.execute(
        search.final(asked, found), lambda: print(command_run.WAITING, file=sys.stderr, flush=True)
    )


def _described(asked: Search, found: Found, result: Result | None) -> dict[str, Any]:
    from pipeline.tuning import terminal

    return {
        "run_id": found.run_id,
        "recipe": asked.request.name,
        "objective": asked.objective,
        "space": asked.space.described(),
        "trials": [trial.as_json() for trial in found.trials],
        "best": found.best.as_json(),
        "importances": found.importances,
        "command": terminal.command(found.best, asked),
        "run": result.as_json() if result else None,
    }
