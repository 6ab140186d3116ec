"""What a recommender remembers of the training split, as weights: the items, and who has taken which of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.features.ids import find_places, to_codes, to_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = 2**62  # hashes of ids are below


@keras.saving.register_keras_serializable("keraspipe")
class InteractionMemory(keras.layers.Layer):
    """Items with their texts, and the items of each user; users are numbered by a vocabulary, items by their place.

    Args:
        users: Number of users.
        items: Number of items.
        pairs: Number of rows, at most.
        texts: Bytes of each text of an item, by name; one of them is `item_id`.
    """

    def __init__(self, users: int, items: int, pairs: int, texts: Mapping[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.options: dict[str, Any] = {"users": users, "items": items, "pairs": pairs, "texts": dict(texts)}
        self.users, self.items = users, items

    def build(self, _: Any = None) -> None:
        """Adds the weights; `fill` and `remember` give them their values."""
        users, items, pairs, texts = self.options.values()
        self.texts = {name: self._add(name, (items, size), "uint8") for name, size in texts.items()}
        self.keys, self.places = self._add("keys", (items,), "int64"), self._add("places", (items + 1,), "int64")
        self.counts = self._add("counts", (items,), "float32")
        self.taken, self.ends = self._add("taken", (pairs,), "int64"), self._add("ends", (users + 1,), "int64")
        self.built = True

    def _add(self, name: str, shape: tuple[int, ...], dtype: str) -> Any:
        return self.add_weight(shape=shape, dtype=dtype, initializer="zeros", trainable=False, name=name)

    def fill(self, tables: Mapping[str, Any]) -> None:
        """Takes over the items of `pipeline.formats.structured.interactions.Interactions.tables`."""
        keys = tf.strings.to_hash_bucket_fast(tables["item_id"], KEYS).numpy()
        self.keys.assign(np.sort(keys))
        self.places.assign(np.append(np.argsort(keys), self.items))
        for name, weight in self.texts.items():
            weight.assign(to_codes(tables[name], weight.shape[1]))

    def remember(self, users: Any, items: Any, earlier: Any) -> Any:
        """Takes over who has taken what.

        Args:
            users: Number of the user of each row of the training split, (rows,).
            items: Place of the item, (rows,).
            earlier: How many rows the user has before, (rows,).

        Returns:
            The last row of each user, (users,).
        """
        order, taken = np.lexsort((earlier, users)), np.zeros(self.taken.shape)
        taken[: len(order)] = items[order]
        ends = np.cumsum(np.bincount(users, minlength=self.users))
        self.taken.assign(taken)
        self.ends.assign(np.append(0, ends))
        self.counts.assign(np.bincount(items, minlength=self.items))
        return order[ends - 1]

    def find_items(self, item_id: tf.Tensor) -> tf.Tensor:
        """Returns the places of ids (batch,); `items` for an id that is not known."""
        return tf.gather(self.places, find_places(self.keys, tf.strings.to_hash_bucket_fast(item_id, KEYS)))

    def look_back(self, users: tf.Tensor, length: int) -> tf.Tensor:
        """Returns the last items of users (batch,), (batch, length), the latest first, -1 after the last one."""
        first, after = (tf.gather(self.ends, users + step)[:, None] for step in (0, 1))
        places = after - 1 - tf.range(length, dtype=tf.int64)
        return tf.where(places >= first, tf.gather(self.taken, tf.maximum(places, 0)), -1)

    def drop_taken(self, scores: tf.Tensor, user: tf.Tensor, lowest: float) -> tf.Tensor:
        """Gives the lowest score, of (items,), to what a user () has and to what nobody has."""
        first, after = (tf.gather(self.ends, user + step) for step in (0, 1))
        own = tf.convert_to_tensor(self.taken)[first:after, None]
        scores = tf.where(tf.convert_to_tensor(self.counts) > 0, scores, lowest)
        return tf.tensor_scatter_nd_update(scores, own, tf.fill(tf.shape(own)[:1], lowest))

    def read_texts(self, items: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the texts of items at places (…) by name, (…)."""
        return {name: to_texts(tf.gather(codes, items)) for name, codes in self.texts.items()}

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer."""
        return {**super().get_config(), **self.options}
