"""Conversations in OpenAI's format, a line each: what the assistant says, and all that is before it."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.formats import jsonl, table
from pipeline.formats.base import Example
from pipeline.formats.structured.messages import SYSTEM, Message, MessageError, find_first, read_messages
from pipeline.language_models.pretrained import open_checkpoint
from serving.errors import InvalidArgument
from serving.generation.template import break_special, render_chat
from serving.wire.openai_errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.language_models.checkpoints.checkpoint import Checkpoint

EXPECTED = 'a file of JSON lines such as {"messages": [{"role": "user", "content": "…"}, …]}, plain or .gz'
MOST_CHARACTERS = 2**24  # of a conversation


@dataclass(frozen=True)
class Chats:
    """Raw input `prompt`, target `answer_text`: the conversation before an answer, and the answer with its end.

    Both are as the base model's chat template writes them; what looks like a special token in a message is broken
    (`break_special`). Each message of the assistant that answers a user is a row. `conversation` is for splits by
    `Group`: rows of one conversation have the same, and so do conversations that begin with the same question and
    answer, such as one that was stored again after each answer.

    Args:
        path: JSON lines, absolute or under the data folder.
        base_model: The language model whose template and tokens they are for, see `open_checkpoint`.
        context: Tokens of a conversation with its answer at most.
        truncate: Whether the oldest messages of a longer conversation are left out, but for those of the system;
            else its answers beyond the context are, and it counts as one that cannot be used.
        test: File of the official test set; then `path` has the training rows.
    """

    path: str
    base_model: str
    context: int = 1024
    truncate: bool = False
    test: str = ""
    label: str = ""
    classes: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ("conversation",)
    inputs: dict[str, str] = field(default_factory=lambda: {"prompt": "bytes"})
    targets: dict[str, str] = field(default_factory=lambda: {"answer_text": "bytes"})

    def files(self, data: Path) -> list[Path]:
        """Returns the files of the conversations, and those of the base model: other tokens are other rows.

        Raises:
            PipelineError: One does not exist.
        """
        return [*self._find_chats(data), *open_checkpoint(self.base_model).files]

    def _find_chats(self, data: Path) -> list[Path]:
        return table.find_files(data, (self.path, self.test), EXPECTED)

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the answers in the order of the file, and the faults of the lines that cannot be used.

        Raises:
            PipelineError: A file or the base model is missing or damaged, or the model has no chat template.
        """
        writer = ChatWriter(open_checkpoint(self.base_model))
        for path, split in table.assign_splits(self._find_chats(data), self.test):
            for place, row, unreadable in jsonl.read_rows(path):
                source = f"{path} {place}"
                try:
                    if unreadable:
                        raise MessageError(unreadable)  # noqa: TRY301  (all faults leave by one way)
                    yield from self._read_answers(source, read_messages(row), split, writer)
                except MessageError as error:
                    yield table.faulty_example(source, split, str(error))

    def _read_answers(self, source: str, messages: list[Message], split: str, writer: ChatWriter) -> Iterator[Example]:
        first = find_first(messages)
        group = _digest(messages[: first + 1])
        places = [place for place, message in enumerate(messages) if place >= first and message.is_learnt]
        pairs = {place: writer.write(messages[:place], messages[place]) for place in places}
        long = [] if writer.fits(pairs[places[-1]], self.context) else self._shorten(messages, pairs, writer)
        for place, (prompt, answer) in pairs.items():
            texts = {"prompt": prompt.encode(), "answer_text": answer.encode(), "conversation": group}
            yield Example(f"{source} message {place + 1}", texts, split)
        if long:
            more = f", and {len(long) - 1} more" if len(long) > 1 else ""
            raise MessageError(f"longer than {self.context:,} tokens: {long[0]}{more}")

    def _shorten(self, messages: list[Message], pairs: dict[int, tuple[str, str]], writer: ChatWriter) -> list[str]:
        """Leaves out what does not fit, and says which answers that are; with `truncate` as little as possible.

        Args:
            messages: The conversation.
            pairs: Prompt and answer by the place of the answer; is changed.
            writer: Writes and counts.
        """
        long = []
        for place, whole in list(pairs.items()):
            before, pair = messages[:place], whole
            while not (fits := writer.fits(pair, self.context)) and self.truncate and drop_oldest(before):
                pair = writer.write(before, messages[place])
            pairs[place] = pair
            if not fits:
                del pairs[place]
                long.append(f"the answer in message {place + 1} is the end of {writer.count(pair):,}")
        return long


def _digest(messages: Sequence[Message]) -> bytes:
    """Returns what tells apart conversations that begin with other messages."""
    content = "\0".join(f"{message.role}\0{message.content}" for message in messages)
    return hashlib.sha256(content.encode()).hexdigest()[:16].encode()


def drop_oldest(messages: list[Message]) -> bool:
    """Takes away the oldest message that is none of the system and not the last one; says if there was one.

    The one behind it goes, too, if it is not a user's: templates want users and assistants by turns.
    """
    first = next((place for place, message in enumerate(messages) if message.role != SYSTEM), len(messages))
    if len(messages) - 1 - first < 1:
        return False
    del messages[first]
    while len(messages) - 1 > first and messages[first].role != "user":
        del messages[first]
    return True


@dataclass(frozen=True)
class ChatWriter:
    """Writes conversations as a language model reads them.

    Args:
        checkpoint: The language model.

    Raises:
        PipelineError: It has no chat template, or no token that ends an answer.
    """

    checkpoint: Checkpoint

    def __post_init__(self) -> None:
        if self.checkpoint.chat_template and self.checkpoint.end:
            return
        raise PipelineError(
            f"{self.checkpoint.path} cannot be tuned on conversations.",
            expected="a chat template, and a token that ends an answer",
            received="no chat template" if self.checkpoint.end else "no token that ends an answer",
            action="use the model's form that follows instructions, or put its chat_template.jinja into the folder",
        )

    def write(self, before: Sequence[Message], answer: Message) -> tuple[str, str]:
        """Returns the prompt of the messages before an answer, and the answer up to the token that ends it.

        Raises:
            MessageError: The template refuses the messages.
        """
        prompt = self._render(before, add_generation_prompt=True)
        whole = self._render([*before, answer], add_generation_prompt=False)
        own = self._break(answer.content)
        text = whole.removeprefix(prompt) if whole.startswith(prompt) else own
        return prompt, self._end(text if own.strip() in text else own)

    def _render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        about = self.checkpoint
        written = [{"role": message.role, "content": self._break(message.content)} for message in messages]
        tokens = {"bos_token": about.bos_token, "eos_token": about.eos_token}
        try:
            return render_chat(
                about.chat_template, written, tokens, MOST_CHARACTERS, add_generation_prompt=add_generation_prompt
            )
        except BadRequest as error:
            raise MessageError(f"not of the template's form: {error}") from error
        except InvalidArgument as error:
            raise PipelineError(
                f"The chat template of {about.path} cannot be used.",
                expected="a template of Jinja2",
                received=error,
                action="correct it, or copy the model again",
            ) from error

    def _break(self, text: str) -> str:
        return break_special(text, self.checkpoint.pairs.special_texts)

    def _end(self, text: str) -> str:
        """Returns the text up to the first token that ends an answer; with the model's own one if it has none."""
        spellings = self.checkpoint.pairs.spellings
        ends = [spellings[number].decode() for number in self.checkpoint.end]
        places = [place + len(end) for end in ends if (place := text.find(end)) >= 0]
        return text[: min(places)] if places else text.rstrip() + ends[0]

    def fits(self, pair: tuple[str, str], context: int) -> bool:
        """Returns whether prompt and answer fit; a token has at least a byte, so most need not be counted."""
        return sum(len(text.encode()) for text in pair) <= context or self.count(pair) <= context

    def count(self, pair: tuple[str, str]) -> int:
        """Returns the tokens of prompt and answer."""
        return sum(map(len, _make_encoder(self.checkpoint)(pair)))


@functools.lru_cache(maxsize=2)
def _make_encoder(checkpoint: Checkpoint) -> Callable[[Sequence[str]], list[list[int]]]:
    """Returns what makes tokens of texts, as a graph: its constants are made once."""
    import tensorflow as tf

    pairs = replace(checkpoint.pairs, breaks=True)
    encode: Any = tf.function(pairs.encode, input_signature=[tf.TensorSpec([None], tf.string)])
    return lambda texts: encode(tf.constant([text.encode() for text in texts])).to_list()
