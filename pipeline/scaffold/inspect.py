"""Inspects a path: a table, or images, texts or recordings in folders."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.features import image
from pipeline.formats import folders
from pipeline.formats.download import list_members
from pipeline.formats.read_table import table_format
from pipeline.scaffold import files, table
from pipeline.scaffold.structured import conversation, recommendation, translation
from pipeline.scaffold.structured.conversation import ChatOptions
from pipeline.scaffold.structured.find import find_planner
from pipeline.scaffold.target import CHAT, CLASSIFICATION, RECOMMENDATION, TRANSLATION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.scaffold.render import Plan
    from pipeline.tables.dialect import Dialect

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz")
PLANNERS = {
    **dict.fromkeys(image.SUFFIXES, files.plan_images),
    **dict.fromkeys(folders.WAV_SUFFIXES, files.plan_recordings),
    ".txt": files.plan_texts,
}
MAX_INSPECTED = 200
EXPECTED_DATA = (
    "a CSV, TSV, JSON lines or Parquet file (.gz, too, but for Parquet), a folder or archive (.zip, .tar, .tar.gz, "
    ".tar.xz) with one folder of images, .txt or .wav files per class, or pictures with boxes (COCO, Pascal VOC, YOLO) "
    "or with masks"
)


def make_plan(
    path: Path,
    target: str,
    task: str,
    dialect: Dialect | None = None,
    user: str = "",
    item: str = "",
    chat: ChatOptions | None = None,
) -> Plan:
    """Inspects the data and returns a plan for a recipe.

    Args:
        path: Absolute.
        target: Column to predict, of a table; may be empty.
        task: "classification", "regression", "forecasting", "translation", "recommendation", "chat", or empty.
        dialect: What is known of how a CSV file is written.
        user: Column of the user, of a table of interactions; may be empty.
        item: Column of the item, likewise.
        chat: What is known of the language model that conversations are for.

    Raises:
        UsageError: There is nothing, or no known format.
        PipelineError: Nothing can be learnt from it.
    """
    if not path.exists():
        raise UsageError(
            f"There is nothing at {path}.", expected=EXPECTED_DATA, received="no such path", action="correct --data"
        )
    chat, column = chat or ChatOptions(), target or user or item
    if task == CHAT or chat.name:
        _require_no_columns(task, column, chat)
        return conversation.plan_chats(path, chat, dialect)
    planner = _annotation_planner(path)
    if not (planner or task or column) and conversation.is_chats(path):
        return conversation.plan_chats(path, chat, dialect)
    if task == RECOMMENDATION or user or item:
        _require_interactions(path, target, task, user or item, table=planner is None and _is_table(path))
        return recommendation.plan_interactions(path, user, item, dialect)
    if planner is None and _is_table(path) and task == TRANSLATION:
        return translation.plan_pairs(path, target, dialect)
    if planner is None and _is_table(path):
        return table.plan_table(path, target, task, dialect)
    ending = "" if planner else _usual_suffix(path)
    if target or task not in ("", CLASSIFICATION):
        raise UsageError(
            "Files in folders are classified by the names of the folders, or say by themselves what is on them.",
            expected=f"neither --target nor another --task than {CLASSIFICATION}",
            received=f"--target {target}" if target else f"--task {task}",
            action="leave it out, or give a table with --data",
        )
    return planner(path) if planner else PLANNERS[ending](path)


def _require_no_columns(task: str, column: str, chat: ChatOptions) -> None:
    if column or task not in ("", CHAT):
        raise UsageError(
            "A language model learns the assistant's messages of conversations; no column is predicted.",
            expected=f"{chat.name or '--task chat'} with --task {CHAT} or without --task, and no column",
            received=f"the column {column}" if column else f"--task {task}",
            action="leave out --target, --user and --item, or the option for a language model",
        )


def _require_interactions(path: Path, target: str, task: str, column: str, *, table: bool) -> None:
    if not table:
        raise UsageError(
            f"{path.name} is no table of interactions.",
            expected="a CSV, TSV, JSON lines or Parquet file with a column of users and one of items",
            received=path.name,
            action="name the table with --data",
        )
    if target or task not in ("", RECOMMENDATION):
        raise UsageError(
            "A recommender says what a user takes next; no column is predicted.",
            expected=f"--user and --item, with --task {RECOMMENDATION} or without --task",
            received=f"--target {target}" if target else f"--task {task} and the column {column}",
            action=f"leave out --target, or --task {RECOMMENDATION}, --user and --item",
        )


def _annotation_planner(path: Path) -> Callable[[Path], Plan] | None:
    """Returns what plans a recipe for annotated pictures; None for other data."""
    packed = path.name.lower().endswith(ARCHIVES) and not table_format(path)
    return find_planner(path) if path.is_dir() or packed or path.suffix.lower() == ".json" else None


def _is_table(path: Path) -> bool:
    if path.is_dir():
        return any(path.rglob("*.parquet"))
    return bool(table_format(path))


def _usual_suffix(path: Path) -> str:
    """The most frequent ending of the first files, of those that are known."""
    if not path.is_dir() and not path.name.lower().endswith(ARCHIVES):
        raise UsageError(
            f"{path.name} is of no known format.",
            expected=EXPECTED_DATA,
            received=path.suffix or "a file without an ending",
            action="rename or convert it",
        )
    names = [name for name in list_members(path) if not folders.is_hidden(name)]
    known = (suffix for name in names if (suffix := PurePosixPath(name).suffix.lower()) in PLANNERS)
    counts = Counter(itertools.islice(known, MAX_INSPECTED))
    if not counts:
        raise UsageError(
            f"{path} holds nothing to learn from.",
            expected=EXPECTED_DATA,
            received=_describe_files(names),
            action="correct --data, or convert the files; a table is named itself, not its folder",
        )
    return counts.most_common(1)[0][0]


def _describe_files(names: list[str]) -> str:
    counts = Counter(PurePosixPath(name).suffix.lower() or "no ending" for name in names)
    return ", ".join(f"{count} files with {suffix}" for suffix, count in counts.most_common(5)) or "no file"
