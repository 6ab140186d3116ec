"""The messages of a conversation in OpenAI's format, checked: {"messages": [{"role": …, "content": …}, …]}.

Source: OpenAI's guide "Supervised fine-tuning", section "Formatting your data": the roles, texts in parts, and `weight`
0 for an answer that is not to be learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.formats.jsonl import TWICE

if TYPE_CHECKING:
    from collections.abc import Mapping

ASSISTANT, USER, SYSTEM = "assistant", "user", "system"
ROLES = (SYSTEM, "developer", USER, ASSISTANT)  # a developer's message is one of the system
SHOWN = 40  # characters of what is wrong


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes:
        role: "system", "user" or "assistant".
        content: Its text, never empty.
        is_learnt: Whether it is of the assistant, and not one to be left alone.
    """

    role: str
    content: str
    is_learnt: bool


class MessageError(ValueError):
    """A conversation cannot be used; says why, first in general, then behind a colon which message."""


def read_messages(row: Mapping[str, Any]) -> list[Message]:
    """Reads the messages of a line.

    Raises:
        MessageError: They cannot be used, or none of the assistant follows one of a user.
    """
    listed = row.get("messages")
    if not isinstance(listed, list):
        names = ", ".join(map(str, row)) or "none"
        raise MessageError(f"no list of messages: the member messages is {_show(listed)}, and the members are {names}")
    messages = [_read_message(number, each) for number, each in enumerate(listed, 1)]
    if not any(message.is_learnt for message in messages[find_first(messages) :]):
        roles = ", ".join(message.role for message in messages) or "none"
        raise MessageError(f"no message of the assistant that answers a user: the roles are {roles[:SHOWN]}")
    return messages


def find_first(messages: list[Message]) -> int:
    """Returns the place of the first message that answers a user; their number if there is none.

    What an assistant says before that, such as a greeting, answers nothing.
    """
    asked = next((place for place, message in enumerate(messages) if message.role == USER), len(messages))
    answers = (place for place, message in enumerate(messages) if place > asked and message.role == ASSISTANT)
    return next(answers, len(messages))


def _read_message(number: int, value: Any) -> Message:
    if not isinstance(value, dict):
        raise MessageError(f"a message that is no object: message {number} is {_show(value)}")
    if TWICE in value:
        raise MessageError(f"a member that comes twice: {value[TWICE]} in message {number}")
    role = value.get("role")
    if role not in ROLES:
        raise MessageError(f"an unknown role: message {number} has {_show(role)}, expected {', '.join(ROLES)}")
    if value.get("tool_calls") or value.get("function_call"):
        raise MessageError(f"a call of a tool, which is not learnt: message {number}")
    text = _read_content(number, value.get("content"))
    weight = value.get("weight", 1)
    if weight not in (0, 1):
        raise MessageError(f"an unknown weight: message {number} has {_show(weight)}, expected 0 or 1")
    return Message(SYSTEM if role == "developer" else role, text, role == ASSISTANT and bool(weight))


def _read_content(number: int, content: Any) -> str:
    """Returns the text of a message, which may come in parts."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise MessageError(f"a content that is no text: message {number} has {_show(content)}")
    text = "".join(map(str, texts))
    if not text.strip():
        raise MessageError(f"an empty content: message {number}")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # JSON can write half of a pair of surrogates
        raise MessageError(f"a content that is no Unicode: message {number} has {_show(text)}") from error
    return text


def _show(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
