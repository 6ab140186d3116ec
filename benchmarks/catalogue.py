"""Runs the recipes whose code has changed since their recorded run, and records the results in their files.

    python -m benchmarks.catalogue [NAME...] [--workspace DIR] [--force] [--table]

A recipe's docstring records the result of a real run and the digest of the code of that run; a recipe with the same
digest is skipped. The README's table is written again, too; `--table` does only that. Nothing else should run on the
machine: the minutes are recorded.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, keraspipe, say
from pipeline.commands import show
from pipeline.recipes import catalog, recorded_result
from pipeline.store import fileio

NOT_BLESSED = 3
BEGIN, END = "<!-- python -m benchmarks.catalogue --table -->\n", "<!-- end -->"


def main() -> int:
    """Returns 1 if a recipe does not pass its gate."""
    options = _options()
    chosen = [source for source in _sources() if not options.names or source.name in options.names]
    due = [] if options.table else [source for source in chosen if options.force or not _holds(source)]
    code = max([_refreshed(source, options) for source in due], default=0)
    readme = ROOT / "README.md"
    with fileio.replace_file(readme) as temporary:
        temporary.write_text(with_table(readme.read_text()))
    return code


def _sources() -> list[catalog.RecipeSource]:
    return [
        catalog.read_recipe(path) for path in sorted((ROOT / "models").glob("*.py")) if not path.stem.startswith("_")
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.catalogue",
        description="Run changed recipes, and record the results in their files.",
        epilog="Example: python -m benchmarks.catalogue xor --workspace /tmp/catalogue",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="recipes (default: all)")
    parser.add_argument(
        "--workspace", type=Path, default=Path("workspace"), help="runs and models (default: ./workspace)"
    )
    parser.add_argument("--force", action="store_true", help="run unchanged recipes, too")
    parser.add_argument("--table", action="store_true", help="run nothing; only write the README's table again")
    return parser.parse_args()


def _holds(source: catalog.RecipeSource) -> bool:
    found = recorded_result.read_result(source.heading)
    return found is not None and found.digest == recorded_result.recorded_digest(source)


def _refreshed(source: catalog.RecipeSource, options: argparse.Namespace) -> int:
    say(source.name)
    digest = recorded_result.recorded_digest(source)
    _, out = keraspipe(options.workspace, "run", source.name, "--json", "--no-cache", codes=(0, NOT_BLESSED))
    result = json.loads(out)
    say(f"{source.name}: {result['metrics']} {'; '.join(result['reasons'])}")
    if not result["blessed"]:
        return 1
    found = recorded_result.RecordedResult(
        *_first(source, result), f"{os.cpu_count()} cores", _weights(source, options), digest
    )
    # The file may have been edited during the run: the record goes into the new text, with the digest of the old.
    with fileio.replace_file(source.path) as temporary:
        temporary.write_text(recorded_result.replace_result(catalog.read_recipe(source.path), found))
    return 0


def _first(source: catalog.RecipeSource, result: dict[str, Any]) -> tuple[str, float, float]:
    """Returns name and value of the first metric in the gate, and the minutes of the run."""
    gate = show.read_gate(source)
    name = next(iter({**gate.get("at_least", {}), **gate.get("at_most", {})}))
    return name, result["metrics"][name], result["seconds"] / 60


def _weights(source: catalog.RecipeSource, options: argparse.Namespace) -> int:
    folders = options.workspace / "artifacts" / source.name / "train" / "model_run"
    newest = max(folders.iterdir(), key=lambda folder: int(folder.name))
    return int(json.loads((newest / "model.json").read_text())["weights"])


def with_table(readme: str) -> str:
    """Returns the README with the present table of the catalogue."""
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}{table(_sources())}\n{END}{rest.partition(END)[2]}"


def table(sources: list[catalog.RecipeSource]) -> str:
    """Returns the catalogue as a Markdown table."""
    head = "| recipe | task | data | result on the test split | minutes on 2 cores |"
    return "\n".join([head, "|---|---|---|---|---|", *map(_line, sources)])


def _line(source: catalog.RecipeSource) -> str:
    found = recorded_result.read_result(source.heading)
    result = (f"{found.metric} {found.value:.4g}", f"{found.minutes:.1f}") if found else ("-", "-")
    heading = source.heading
    return f"| {' | '.join((f'[{source.name}](models/{source.name}.py)', heading.task, heading.data, *result))} |"


if __name__ == "__main__":
    raise SystemExit(main())
