"""The slots of a model's cache: who has them, and what prompts left in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.generation.answer import Generation

PIECE = 64  # tokens of a prompt that are read at once, from a position that is a multiple of it


class Slots:
    """Which answer has which slot.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._owners: list[Generation | None] = [None] * count
        self._contents: list[tuple[int, ...]] = [()] * count  # tokens of whole pieces, from the slot's beginning on
        self._turn, self._used = 0, [0] * count

    @property
    def free_count(self) -> int:
        """How many are free."""
        return self._owners.count(None)

    def taken(self) -> list[Generation]:
        """The answers that have one, by slot."""
        return [owner for owner in self._owners if owner is not None]

    def take(self, generation: Generation) -> None:
        """Gives an answer the free slot that holds most of its prompt's beginning, else that unused for longest."""
        free = [slot for slot, owner in enumerate(self._owners) if owner is None]
        slot = max(free, key=lambda each: (shared_pieces(self._contents[each], generation.prompt), -self._used[each]))
        kept = shared_pieces(self._contents[slot], generation.prompt)
        self._owners[slot], self._contents[slot] = generation, generation.prompt[:kept]
        generation.slot, generation.position, generation.cached = slot, kept, kept

    def remember(self, generation: Generation) -> None:
        """Whole pieces of a prompt were read."""
        whole = generation.position // PIECE * PIECE
        self._contents[generation.slot] = generation.prompt[:whole]

    def forget(self, generation: Generation) -> None:
        """What a slot holds is not to be used again."""
        self._contents[generation.slot] = ()

    def give(self, generation: Generation) -> None:
        """An answer needs its slot no longer."""
        self._turn += 1
        self._used[generation.slot] = self._turn
        self._owners[generation.slot] = None


def shared_pieces(content: Sequence[int], prompt: Sequence[int]) -> int:
    """How many tokens of whole pieces two beginnings share; at least one token of the prompt is left to be read."""
    shared = 0
    for start in range(0, min(len(content), len(prompt) - 1) // PIECE * PIECE, PIECE):
        if content[start : start + PIECE] != prompt[start : start + PIECE]:
            break
        shared = start + PIECE
    return shared
