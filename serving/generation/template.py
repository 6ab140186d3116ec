"""Renders the chat template of a language model as Hugging Face's `apply_chat_template` does, within limits.

The template comes with the model, the messages come from anybody. It runs in Jinja's sandbox; what takes too long or
becomes too long is ended in words.
"""

from __future__ import annotations

import ctypes
import json
import re
import threading
import time
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from serving.errors import InvalidArgument
from serving.wire.openai_errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import jinja2

SECONDS = 2.0
BREAK = "\ufdd0"  # Unicode keeps this character for uses within a program; no text has it
_FACTOR = 1 << 20  # a text or list repeated by a number has so many parts at most


class _LateError(BaseException):
    """Ends the thread's rendering; no template can catch it."""


def render_chat(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    tokens: Mapping[str, str],
    most: int,
    seconds: float = SECONDS,
    *,
    add_generation_prompt: bool = True,
) -> str:
    """The prompt of a conversation, up to where the assistant's answer begins.

    Args:
        template: Jinja2 text.
        messages: Each with `role` and `content`.
        tokens: `bos_token` and `eos_token`.
        most: Characters of the prompt at most.
        seconds: How long the rendering may take.
        add_generation_prompt: Whether it ends where an answer begins, and not where the last message ends.

    Raises:
        BadRequest: The template refuses the messages, or cannot be rendered within its limits.
        InvalidArgument: The template itself is wrong.
    """
    import jinja2

    try:
        compiled = _compile(template)
        with _time_limit(seconds):
            values = {"messages": messages, "add_generation_prompt": add_generation_prompt, **tokens}
            return _join(compiled.generate(values), most)
    except _LateError:
        raise BadRequest(f"The chat template took longer than {seconds:g} seconds.", "messages") from None
    except jinja2.TemplateSyntaxError as error:
        raise InvalidArgument(f"The model's chat template is no Jinja2: {error}. Publish it anew") from error
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise BadRequest(f"The chat template refuses the messages: {error}", "messages") from error
    except (RecursionError, MemoryError) as error:
        raise BadRequest(f"The chat template failed: {type(error).__name__}", "messages") from error


def break_special(text: str, special: Sequence[str]) -> str:
    """A text in which no special token is one, to a model that takes `BREAK` out once it has found the special tokens.

    So nobody can end a message from within it. All other tokens of the text stay as they are.

    Args:
        text: A message.
        special: Texts of the special tokens.
    """
    names = sorted(special, key=len, reverse=True)
    text = text.replace(BREAK, "")
    return re.sub("|".join(map(re.escape, names)), lambda match: BREAK.join(match[0]), text) if names else text


def _join(parts: Iterator[str], most: int) -> str:
    texts, size = [], 0
    for part in parts:
        texts.append(part)
        size += len(part)
        if size > most:
            raise BadRequest(
                f"The messages become a prompt of more than {most} characters, which no context of this model holds.",
                "messages",
                "context_length_exceeded",
            )
    return "".join(texts)


@lru_cache(maxsize=16)
def _compile(template: str) -> jinja2.Template:
    return _environment().from_string(template)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset(("*", "**"))

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _check_factor(operator, left, right)
            return super().call_binop(context, operator, left, right)

    environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_format_now, tools=None, documents=None)
    return environment


def _check_factor(operator: str, left: Any, right: Any) -> None:
    """Refuses products that would fill the memory."""
    for many, factor in ((left, right), (right, left)):
        if isinstance(many, (str, bytes, list, tuple)) and isinstance(factor, int) and len(many) * factor > _FACTOR:
            raise ValueError(f"a text or list is repeated {factor} times")
    if operator == "**" and isinstance(right, int) and right > 64:  # noqa: PLR2004 - the bits of a number
        raise ValueError(f"a number is raised to the power of {right}")


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    import jinja2

    raise jinja2.TemplateError(message)


def _format_now(form: str) -> str:
    return time.strftime(form)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Ends the block by an exception in this thread, wherever it is: a loop without an output never comes back."""
    thread, lock, is_over = threading.get_ident(), threading.Lock(), False

    def end() -> None:
        with lock:
            if not is_over:
                _raise_in(thread, ctypes.py_object(_LateError))

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            is_over = True
            _raise_in(thread, None)  # what was raised and has not arrived yet
        timer.cancel()


def _raise_in(thread: int, error: Any) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)
