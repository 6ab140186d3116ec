"""Decisions that learn from what came of them: a contextual bandit on the server's own request log.

    features (64) ─ dense (128) ─ reward of each action, (10) ─ softmax ─ mixed with chance ─ probabilities (10)
    request_id ─ hash ─ a number in [0, 1) ─ drawn ─ action, and its probability

The server logs features, action and probability (`keraspipe serve bandit --request-log DATA/feedback --request-log-rate
1`), the application writes rewards by `request_id` to DATA/feedback/rewards.jsonl (`pipeline.datasets.decisions`), and
the next run learns from both. Without a log it learns from first decisions about scans of digits, taken nearly at
random. The network learns the rewards of the actions that were taken, seldom ones with more weight. The gate asks for
a higher reward on logged decisions of the test split than that of the policy that took them: by inverse propensities,
by the doubly robust estimate, and by the lower end of the interval of the gain. No context is in two splits.

Paper: M. Dudík, J. Langford, L. Li, Doubly robust policy evaluation and learning, ICML 2011, sections 2 and 3; A.
Bietti, A. Agarwal, J. Langford, A contextual bandit bake-off, JMLR 22, 2021, section 2.3 (importance-weighted
regression).
Data: request log, or until there is one 14,376 first decisions about the 1,797 digits of scikit-learn.
Task: contextual bandit
Command: keraspipe run bandit
Reaches: robust_reward 0.8956, 3.0 minutes on 2 cores, 9,610 weights, recipe ce990d46eaad.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from pipeline.datasets.decisions import DIGIT_DECISIONS
from pipeline.recipe import Choice, Gate, Group, Metric, Range, Recipe
from pipeline.training.optimizers import optimizer

ACTIONS = DIGIT_DECISIONS.actions
KEY = [0x6B657261, 0x73706970]  # of the hash
GRAIN = 2**24  # steps of a float32 in [0.5, 1)


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(3, 100)] = 40  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(32, 512, log=True)] = 128
    patience: int = 6  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 1e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    most_weight: Annotated[float, Range(1.0, 100.0, log=True)] = 20.0  # of a decision: 1 / its probability at most
    # network
    hidden: tuple[int, ...] = (128,)
    dropout: Annotated[float, Range(0.0, 0.6)] = 0.2
    # policy
    temperature: Annotated[float, Range(0.01, 1.0, log=True)] = 0.05  # of the softmax over rewards
    explore: Annotated[float, Range(0.01, 0.5, log=True)] = 0.1  # share of chance, from which the next version learns


def preprocess(inputs, p):
    """Takes the features (batch, 64) as they are, and keeps the ids (batch,) for `outputs`."""
    return {"features": tf.cast(inputs["features"], tf.float32), "request_bytes": inputs["request_id"]}


def preprocess_targets(targets, p):
    """Joins action, probability and reward, (batch, 3)."""
    names = ("action", "probability", "reward")
    return {"decision": tf.stack([tf.cast(targets[name], tf.float32) for name in names], axis=1)}


@keras.saving.register_keras_serializable("keraspipe")
class RewardError(keras.losses.Loss):
    """The squared error of the reward of the action that was taken, weighted by its inverse probability.

    Args:
        most: Largest weight.
    """

    def __init__(self, most, **kwargs):
        super().__init__(name=kwargs.pop("name", "reward_error"), **kwargs)
        self.most = most

    def call(self, decision, answer):
        """Returns the error of each row, (batch,), of decisions (batch, 3) by answers (batch, 2, actions)."""
        expected = ops.cast(answer[:, 0], "float32")
        action, probability, reward = ops.unstack(ops.cast(decision, "float32"), 3, axis=1)
        taken = ops.sum(ops.one_hot(ops.cast(action, "int32"), ACTIONS) * expected, axis=1)
        return ops.minimum(1.0 / probability, self.most) / ACTIONS * ops.square(reward - taken)

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), "most": self.most}


@keras.saving.register_keras_serializable("keraspipe")
class Policy(layers.Layer):
    """Probabilities of actions by their expected rewards; each has some.

    Args:
        temperature: Of the softmax.
        explore: Share that all actions get alike.
    """

    def __init__(self, temperature, explore, **kwargs):
        super().__init__(**kwargs)
        self.temperature, self.explore = temperature, explore

    def call(self, expected):
        """Maps (batch, actions) to probabilities (batch, actions)."""
        return (1 - self.explore) * ops.softmax(expected / self.temperature) + self.explore / ACTIONS

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), "temperature": self.temperature, "explore": self.explore}


def build(p, spec):
    """Builds the network of rewards with its policy; the loss looks at the rewards alone."""
    features = keras.Input(spec.features["features"][0], name="features")
    x = features
    for units in p.hidden:
        x = layers.Dropout(p.dropout)(layers.Dense(units, activation="relu")(x))
    # float32 whatever the precision policy: half precision rounds small differences of rewards to zero.
    expected = layers.Dense(ACTIONS, dtype="float32", name="expected")(x)
    probabilities = Policy(p.temperature, p.explore, dtype="float32", name="policy")(expected)
    model = keras.Model({"features": features}, ops.stack([expected, probabilities], axis=1))  # (batch, 2, actions)
    rule = optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps)
    model.compile(rule, RewardError(p.most_weight), jit_compile=False)
    return model


def outputs(model, features):
    """Draws an action by the request's id: the same request gets the same one.

    Returns:
        `action` and its `probability`, (batch,) each; `probabilities` and `expected` rewards of all, (batch, actions).
    """
    expected, probabilities = tf.unstack(model({"features": features["features"]}, training=False), axis=1)
    place = tf.strings.to_hash_bucket_strong(features["request_bytes"], GRAIN, KEY)
    place = (tf.cast(place, tf.float32) + 0.5) / GRAIN
    passed = tf.cumsum(probabilities, axis=1) < place[:, None]
    action = tf.minimum(tf.reduce_sum(tf.cast(passed, tf.int64), axis=1), ACTIONS - 1)
    probability = tf.gather(probabilities, action, batch_dims=1)
    return {"action": action, "probability": probability, "probabilities": probabilities, "expected": expected}


def signatures(served):
    """Returns `best`: the most probable action of features alone, for whoever asks only for advice."""
    size = DIGIT_DECISIONS.size

    def best(features):
        known = served.features({"features": features, "request_id": tf.fill(tf.shape(features)[:1], "")})
        probabilities = served.outputs(known)["probabilities"]
        return {"action": tf.argmax(probabilities, axis=1), "probability": tf.reduce_max(probabilities, axis=1)}

    return {"best": (best, [tf.TensorSpec([None, size], tf.float32, "features")])}


def score(served, examples, others):
    """Returns what the policy would have earned on the test split's decisions, and by how much more than was earned."""
    from pipeline.evaluation import bootstrap
    from pipeline.evaluation.metrics.policy import doubly_robust, effective_share, inverse_propensity, weigh

    rows = examples.test
    actions, rewards = rows["action"], rows["reward"].astype(np.float64)
    answer = served.predict("serving_default", {name: rows[name] for name in ("features", "request_id")})
    probabilities, expected = (answer[name].astype(np.float64) for name in ("probabilities", "expected"))
    weights = weigh(probabilities, actions, rows["probability"].astype(np.float64))
    robust = doubly_robust(weights, rewards, probabilities, actions, expected)
    gain = bootstrap.mean_of(robust - rewards)
    low, *_ = bootstrap.interval(gain, np.arange(gain.rows)) or [float("nan")]
    return {
        "robust_reward": bootstrap.mean_of(robust),
        "ips_reward": bootstrap.mean_of(inverse_propensity(weights, rewards)),
        "logged_reward": bootstrap.mean_of(rewards),
        "gain": gain,
        "gain_low": low,
        "effective_share": effective_share(weights),
    }


RECIPE = Recipe(
    data=DIGIT_DECISIONS,
    split=Group("context", eval=0.1, test=0.3),
    params=Params(),
    preprocess=preprocess,
    preprocess_targets=preprocess_targets,
    build=build,
    outputs=outputs,
    signatures=signatures,
    predicted="expected",
    metrics=tuple(
        Metric(name) for name in ("robust_reward", "ips_reward", "logged_reward", "gain", "gain_low", "effective_share")
    ),
    score=score,
    gate=Gate(
        at_least={"robust_reward": 0.3, "ips_reward": 0.3, "gain_low": 0.0, "effective_share": 0.02},
        no_worse={"robust_reward": 0.02},
        quick={"effective_share": 0.001},
    ),
)
