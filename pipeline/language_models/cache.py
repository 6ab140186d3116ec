"""Keys and values of earlier tokens: of a server's conversations, kept in the graph, or of one request, as tensors.

Each row is a conversation of its own length. `pipeline.generation.cache` has one position for all rows, and computes
with all places up to the longest answer that may come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from pipeline.language_models.packing import attend_groups

if TYPE_CHECKING:
    from collections.abc import Callable


class SlotCache(tf.saved_model.experimental.TrackableResource):
    """A variable that the SavedModel makes and fills with zeros when it is loaded; no file holds it.

    It is a matrix, a line of `size` numbers for each block, part (key, value), slot, head and place. Lines are written
    and gathered in place; a variable that is read as a whole would be copied at every step.

    Args:
        blocks: Blocks of the network.
        slots: Conversations at a time.
        heads: Heads of the keys.
        places: Tokens of a conversation at most.
        size: Numbers of a head.
    """

    def __init__(self, blocks: int, slots: int, heads: int, places: int, size: int) -> None:
        super().__init__()
        self.slots, self.heads, self.places, self.size = slots, heads, places, size
        self.lines = blocks * 2 * slots * heads * places
        # The name tells apart the caches of models that one process loads eagerly; sessions have their own ones.
        self._name = f"keys_and_values_{blocks}x{slots}x{heads}x{places}x{size}"
        self.handle = self.resource_handle  # made now, outside of any graph

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[self.lines, self.size], shared_name=self._name)

    def _initialize(self) -> None:
        zeros = tf.zeros([self.lines, self.size])
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=zeros)

    def _destroy_resource(self) -> None:
        tf.raw_ops.DestroyResourceOp(resource=self.resource_handle, ignore_lookup_error=True)

    def at(self, slots: tf.Tensor, positions: tf.Tensor) -> Callable[[int], Any]:
        """Returns the attention of each block, see `Llama.states`.

        Args:
            slots: Slot of each row, (rows,).
            positions: Positions of its tokens, (rows, queries).
        """
        positions = self._check(slots, positions)
        begins = (slots[:, None] * self.heads + tf.range(self.heads)) * self.places  # (rows, heads)
        longest = tf.reduce_max(tf.concat([tf.reshape(positions, [-1]), [0]], 0)) + 1
        reads = begins[:, :, None] + tf.range(longest)  # (rows, heads, places)
        writes = begins[:, None] + positions[:, :, None]  # (rows, queries, heads)
        seen = see(positions, longest)
        return lambda block: _Attention(self._exchange(block, reads, writes), seen).attend

    def _check(self, slots: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Returns the positions; a place that is not there would be one of another conversation."""
        there = tf.reduce_all((slots >= 0) & (slots < self.slots)) & tf.reduce_all(positions < self.places)
        message = f"Expected: slots below {self.slots}, positions below {self.places}. Received:"
        check = tf.debugging.Assert(there & tf.reduce_all(positions >= 0), [message, slots, positions], summarize=8)
        with tf.control_dependencies([check] if check is not None else []):  # None: eagerly it has been raised
            return tf.identity(positions)

    def _exchange(self, block: int, reads: tf.Tensor, writes: tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor], Any]:
        """Returns what writes keys and values (rows, queries, heads, size), and gives (rows, heads, places, size)."""
        part = self.slots * self.heads * self.places

        def exchange(*new: tf.Tensor) -> list[tf.Tensor]:
            known = []
            for number, values in enumerate(new):
                at = (2 * block + number) * part
                handle = self.resource_handle
                tf.raw_ops.ResourceScatterUpdate(resource=handle, indices=at + writes, updates=values)
                lines = tf.raw_ops.ResourceGather(resource=handle, indices=at + reads, dtype=tf.float32)
                lines.set_shape([None, self.heads, None, self.size])
                known.append(lines)
            return known

        return exchange


class RowCache:
    """The same as tensors, one for the keys and one for the values of each block: (rows, heads, places, size).

    Args:
        parts: [key, value] of each block. They are replaced by those with the new entries.
    """

    def __init__(self, parts: list[list[tf.Tensor]]) -> None:
        self.parts = parts

    @classmethod
    def empty(cls, blocks: int, rows: tf.Tensor, heads: int, places: tf.Tensor, size: int) -> RowCache:
        """Returns a cache without entries."""
        return cls([[tf.zeros([rows, heads, places, size]) for _ in range(2)] for _ in range(blocks)])

    def at(self, positions: tf.Tensor) -> Callable[[int], Any]:
        """Returns the attention of each block at positions (rows, queries), see `Llama.states`."""
        rows, heads = tf.shape(positions)[0], self.parts[0][0].shape[1]
        row, head, place = tf.range(rows)[:, None, None], tf.range(heads), positions[:, :, None]
        writes = tf.stack([part + 0 * (row + head + place) for part in (row, head, place)], axis=-1)
        seen = see(positions, tf.shape(self.parts[0][0])[2])

        def exchange(block: int) -> Callable[[tf.Tensor, tf.Tensor], Any]:
            def write(*new: tf.Tensor) -> list[tf.Tensor]:
                pairs = zip(self.parts[block], new, strict=True)
                self.parts[block] = [tf.tensor_scatter_nd_update(old, writes, values) for old, values in pairs]
                return self.parts[block]

            return write

        return lambda block: _Attention(exchange(block), seen).attend


def see(positions: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Returns which places each position sees: itself and those before, (rows, 1, 1, queries, places)."""
    return (tf.range(places) <= positions[:, :, None])[:, None, None]


@dataclass(frozen=True)
class _Attention:
    """Attention to all that a cache has.

    Attributes:
        exchange: Writes keys and values (rows, queries, heads, size) and returns all of them.
        seen: Which of them a query sees, (rows, 1, 1, queries, places).
    """

    exchange: Callable[[tf.Tensor, tf.Tensor], Any]
    seen: tf.Tensor

    def attend(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        """Returns (tokens, heads * size) of queries (tokens, heads, size), rows * queries tokens."""
        rows, queries = tf.shape(self.seen)[0], tf.shape(self.seen)[3]
        query, key, value = (
            tf.reshape(part, [rows, queries, part.shape[1], part.shape[2]]) for part in (query, key, value)
        )
        known = self.exchange(*(tf.cast(part, tf.float32) for part in (key, value)))
        keys, values = (tf.cast(part, query.dtype) for part in known)
        answer = attend_groups(tf.transpose(query, [0, 2, 1, 3]), keys, values, self.seen)
        return tf.reshape(tf.transpose(answer, [0, 2, 1, 3]), [rows * queries, query.shape[2] * query.shape[3]])
