"""Films that a user rates next: two towers, a dot product, and the ten best of 9,742 films.

    user_id ─ known ─ last 50 films ─ weights by recency ─ mean of embedding and genres ─┐
                    └ year of the last rating ─ embedding ───────────────────────────────┴ dense ─ (64) ┐
    film_id ─ embedding + dense(genres, year) ─ (64) ───────────────────────────────────────────────────┴ dot ─ best 10
            └ unknown ─ the films with the most ratings, `cold` is 1

In training the other films of the batch are the wrong ones, and the logarithm of how often each is there comes off.

Paper: X. Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys 2019,
sections 3 and 4, with exact counts instead of the estimate for streams; the mean of what was seen before is from
P. Covington et al., Deep neural networks for YouTube recommendations, RecSys 2016, section 3.
Data: MovieLens (ml-latest-small), 100,836 ratings; the newest tenth of each user is the test, the 5 % before it eval.
Task: retrieval
Command: keraspipe run movies_retrieval
Reaches: ndcg 0.07336, 1.6 minutes on 2 cores, 9,024,220 weights, recipe c8563df5d50c.
One border in time for all users leaves next to nobody to ask: of the 453 who rated in the oldest 70 %, ten go on in the
newest 20 %. On these, EASE (H. Steck, WWW 2019) is below popularity; by user it has 1.5 times popularity's NDCG. Tried:
temperature 0.07 and 0.15 (0.003 lower), half of the inputs dropped (0.010 lower).
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from keras import layers

from pipeline.datasets.movielens import NEXT_FILMS, TITLE_BYTES, describe_films
from pipeline.features.counts import log_counts
from pipeline.features.ids import find_places, to_codes, to_texts
from pipeline.recipe import Choice, Gate, GroupTime, Metric, Quick, Range, Recipe
from pipeline.training.optimizers import optimizer

BEST = 10  # films of an answer
SIZES = ("users", "films", "facts", "length", "width")
FIRST_YEAR, YEARS, SECONDS = 1996, 24, 365.25 * 86_400  # of the ratings; the last year stands for all later ones


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(2, 30)] = 6  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(256, 4096, log=True)] = 1024  # one right film, 1,023 wrong ones
    patience: int = 3  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 3e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    # network
    width: Annotated[int, Range(16, 256, log=True)] = 64  # of what both towers give
    dropout: Annotated[float, Range(0.0, 0.6)] = 0.3
    temperature: Annotated[float, Range(0.02, 0.5, log=True)] = 0.1  # by which cosines are divided


def preprocess(inputs, p):
    """Maps user ids (batch,) to the number of a user of the training split, -1 for all others."""
    return {"user": tft.compute_and_apply_vocabulary(inputs["user_id"], default_value=-1, vocab_filename="users")}


def preprocess_targets(targets, p):
    """Adds `log_count`, (batch,): the logarithm of how often the film is in the training split."""
    return {**targets, "log_count": log_counts(targets["film_id"], "film_counts")}


@keras.saving.register_keras_serializable("keraspipe")
class TwoTowers(layers.Layer):
    """Two towers, and what the served model remembers: films, each user's last ones, and popularity.

    Args:
        sizes: Numbers of `users`, `films`, `facts` of a film and films of a history (`length`); `width` of the vectors.
        dropout: Share of zeros in training.
        temperature: By which cosines are divided.
    """

    def __init__(self, sizes, dropout, temperature, **kwargs):
        super().__init__(**kwargs)
        self.options = {"sizes": sizes, "dropout": dropout, "temperature": temperature}
        self.films, self.temperature, width = sizes["films"], temperature, sizes["width"]
        self.embedding = layers.Embedding(self.films + 1, width)  # the last one stands for no film
        self.years = layers.Embedding(YEARS, width)
        self.hidden, self.out = layers.Dense(2 * width, activation="relu"), layers.Dense(width)
        self.of_facts, self.drop = layers.Dense(width), layers.Dropout(dropout)

    def build(self, _):
        """Adds what is remembered; `fill` and `remember` give it its values."""
        users, films, facts, length, width = (self.options["sizes"][name] for name in SIZES)
        self.recency = self.add_weight(shape=(length,), initializer="zeros", name="recency")

        def memory(name, shape, dtype):
            return self.add_weight(shape=shape, dtype=dtype, initializer="zeros", trainable=False, name=name)

        self.ids, self.titles = memory("ids", (films,), "int64"), memory("titles", (films, TITLE_BYTES), "uint8")
        self.facts, self.counts = memory("facts", (films + 1, facts), "float32"), memory("counts", (films,), "float32")
        self.vectors = memory("vectors", (films, width), "float32")
        self.histories, self.times = memory("histories", (users, length), "int64"), memory("times", (users,), "int64")
        self.seen = memory("seen", (users, films), "bool")

    def embed_films(self, films, training=False):
        """Maps places (batch,) to vectors of length 1, (batch, width)."""
        x = self.drop(self.embedding(films), training=training) + self.of_facts(tf.gather(self.facts, films))
        return tf.math.l2_normalize(x, axis=-1)

    def embed_users(self, history, times, training=False):
        """Maps histories (batch, length), the latest first, and times (batch,) to such vectors (batch, width)."""
        there = tf.cast(history < self.films, tf.float32)
        weights = tf.exp(self.recency) * there
        weights /= tf.reduce_sum(weights, axis=1, keepdims=True) + 1e-6
        parts = (self.embedding(history), tf.gather(self.facts, history))
        seen, facts = (tf.einsum("bl,blw->bw", weights, part) for part in parts)
        year = tf.cast(tf.cast(times, tf.float32) / SECONDS, tf.int32) + 1970 - FIRST_YEAR
        year = self.years(tf.clip_by_value(year, 0, YEARS - 1))
        count = tf.math.log1p(tf.reduce_sum(there, axis=1, keepdims=True))
        x = self.hidden(tf.concat([seen, facts, count, year], axis=1))
        x = self.out(self.drop(x, training=training)) + self.drop(seen, training=training)
        return tf.math.l2_normalize(x, axis=-1)

    def call(self, rows, training=False):
        """Returns the corrected logits of the films of a batch for its users, (batch, batch); adds the loss."""
        films, history = (find_places(self.ids, rows[name]) for name in ("film_id", "history"))
        users, own = self.embed_users(history, rows["rated_at"], training), self.embed_films(films, training)
        logits = tf.matmul(users, own, transpose_b=True) / self.temperature
        logits -= rows["log_count"][None, :]  # logQ of section 4; the constant of a probability changes nothing
        right = tf.range(tf.shape(films)[0])
        same = (films[:, None] == films[None, :]) & (right[:, None] != right[None, :])
        logits = tf.where(same, -1e9, logits)  # the same film is not wrong
        self.add_loss(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(right, logits)))
        return logits

    def fill(self, tables):
        """Takes over the films of `Dataset.tables`."""
        self.ids.assign(tables["film_id"])
        self.facts.assign(np.pad(describe_films(tables), ((0, 1), (0, 0))))
        self.titles.assign(to_codes(tables["title"], TITLE_BYTES))

    def remember(self, users, film_ids, histories, times):
        """Takes over what the users have seen: (rows,), (rows,), (rows, length), (rows,) of the training split."""
        films, histories = (find_places(self.ids, value).numpy() for value in (film_ids, histories))
        latest = np.argsort(times, kind="stable")  # the last row of a user overwrites those before it
        after = np.concatenate([films[:, None], histories[:, :-1]], axis=1)
        seen, memory, at = np.zeros(self.seen.shape, bool), np.zeros(self.histories.shape), np.zeros(self.times.shape)
        seen[users, films] = True
        memory[users[latest]], at[users[latest]] = after[latest], times[latest]
        self.counts.assign(np.bincount(films, minlength=self.films))
        self.vectors.assign(self.embed_films(tf.range(self.films)))
        for weight, value in ((self.histories, memory), (self.times, at), (self.seen, seen)):
            weight.assign(value)

    def embed_known(self, users):
        """Maps numbers of users (batch,) to vectors (batch, width); zeros for -1."""
        place, known = tf.maximum(users, 0), tf.cast(users >= 0, tf.float32)[:, None]
        return self.embed_users(tf.gather(self.histories, place), tf.gather(self.times, place)) * known

    def rank(self, user):
        """Returns scores and places of the best films for one user (): of the most rated ones for -1."""
        counts, seen = tf.convert_to_tensor(self.counts), tf.gather(self.seen, tf.maximum(user, 0))
        close = tf.linalg.matvec(self.vectors, self.embed_known(user[None])[0]) / self.temperature
        candidates = tf.where((counts > 0) & ~seen, close, -1e9)
        return tuple(tf.math.top_k(tf.where(user < 0, counts / tf.reduce_sum(counts), candidates), BEST))

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), **self.options}


def build(p, spec):
    """Builds both towers over the films of the data set; the loss is the layer's."""
    rows = {name: keras.Input(shape, name=name, dtype=dtype) for name, (shape, dtype) in spec.features.items()}
    counts = (spec.vocabulary["users"], *describe_films(spec.tables).shape, NEXT_FILMS.length, p.width)
    towers = TwoTowers(dict(zip(SIZES, counts, strict=True)), p.dropout, p.temperature, name="towers")
    model = keras.Model(rows, towers(rows))
    towers.fill(spec.tables)
    model.compile(optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps))
    return model


def finish(model, rows):
    """Remembers what each user of the training split has seen."""
    names = ("user", "film_id", "history", "rated_at")
    batches = [[features[name].numpy() for name in names] for features, _ in rows]
    model.get_layer("towers").remember(*map(np.concatenate, zip(*batches, strict=True)))


def outputs(model, features):
    """Returns `film_id`, `title` and `score`, (batch, 10) each, the best first, and `cold`, (batch,).

    Rows are ranked one by one: the last digits of a product depend on the size of the batch, and so would the order.
    """
    towers, users = model.get_layer("towers"), features["user"]
    specs = (tf.TensorSpec([BEST], tf.float32), tf.TensorSpec([BEST], tf.int32))
    scores, films = tf.map_fn(towers.rank, users, fn_output_signature=specs)
    title, cold = to_texts(tf.gather(towers.titles, films)), tf.cast(users < 0, tf.int64)
    return {"film_id": tf.gather(towers.ids, films), "title": title, "score": scores, "cold": cold}


def signatures(served):
    """Adds `embed_user` and `embed_item`: vectors of length 1, (batch, width), for any index of nearest neighbours."""
    towers = served.model.get_layer("towers")

    def embed_user(user_id):
        return {"embedding": towers.embed_known(served.features({"user_id": user_id})["user"])}

    def embed_item(film_id):
        films = find_places(towers.ids, film_id)
        return {"embedding": towers.embed_films(films) * tf.cast(films < towers.films, tf.float32)[:, None]}

    return {
        "embed_user": (embed_user, [tf.TensorSpec([None], tf.int64, "user_id")]),
        "embed_item": (embed_item, [tf.TensorSpec([None], tf.int64, "film_id")]),
    }


def score(served, examples, others):
    """Returns how good the ten films are, and the ten most rated ones that a user has not seen: `lift` is the ratio."""
    from pipeline.evaluation.metrics import ranking

    seen, after = (ranking.group_items(rows["user_id"], rows["film_id"]) for rows in (examples.train, examples.test))
    users, films = sorted(after), examples.train["film_id"]
    listed = served.predict("serving_default", {"user_id": np.array(users, np.int64)})["film_id"]
    popular = ranking.most_frequent(films, [seen.get(user, ()) for user in users], BEST)
    relevant = [after[user] for user in users]
    own, other = (ranking.ndcg(relevant, ranked, BEST) for ranked in (listed, popular))
    return {
        "ndcg": own,
        "ndcg_popular": other,
        "lift": ranking.lift(own, other),
        "recall": ranking.recall(relevant, listed, BEST),
        "coverage": ranking.coverage(listed, BEST, len(np.unique(films))),
    }


RECIPE = Recipe(
    data=NEXT_FILMS,
    split=GroupTime("user_id", eval=0.05, test=0.1),
    params=Params(),
    preprocess=preprocess,
    preprocess_targets=preprocess_targets,
    teacher=("film_id", "history", "rated_at", "log_count"),
    build=build,
    finish=finish,
    outputs=outputs,
    signatures=signatures,
    metrics=(*(Metric(name) for name in ("ndcg", "ndcg_popular", "lift", "recall", "coverage")),),
    score=score,
    gate=Gate(at_least={"ndcg": 0.06, "lift": 1.5}, no_worse={"ndcg": 0.01}, quick={"coverage": 0.0}),
    quick=Quick(train_rows=4000, other_rows=1000, epochs=2),
)
