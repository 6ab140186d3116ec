"""Answers row by row from a model that is asked in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np


def answers(
    questions: Sequence[Mapping[str, Any]], ask: Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]
) -> Iterator[Mapping[str, Any] | str]:
    """One answer, or the reason why there is none, for each question.

    A batch that fails because of what it was asked is halved until the rows that are at fault stand alone.

    Args:
        questions: Values by input, at least one.
        ask: Takes arrays (batch, …) by input and gives arrays (batch, …) by output.

    Raises:
        ServingError: The model cannot be asked at all.
    """
    try:
        found = ask({name: [question[name] for question in questions] for name in questions[0]})
    except InvalidArgument as error:
        if len(questions) == 1:
            yield error.in_words
            return
        half = len(questions) // 2
        yield from answers(questions[:half], ask)
        yield from answers(questions[half:], ask)
    else:
        for place in range(len(questions)):
            yield {name: values[place] for name, values in found.items()}
