"""What a model file declares: the one contract that every recipe in `models/` fills in.

Importing this module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Range:
    """The values that a search may give a number: `Annotated[float, Range(1e-4, 1e-2, log=True)]`."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """The values that a search may give a name: `Annotated[str, Choice("adam", "sgd")]`. Other values are allowed."""

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        object.__setattr__(self, "values", values)


@dataclass(frozen=True)
class Official:
    """The data set has a test split of its own; `eval` is split off train by hash of the content."""

    eval: float = 0.1


@dataclass(frozen=True)
class Hash:
    """Train, eval and test are split by hash of the content, so that a row never changes sides between runs."""

    eval: float = 0.1
    test: float = 0.1


@dataclass(frozen=True)
class Metric:
    """A TFMA metric under the name that the gate and MLflow use.

    Args:
        name: For instance "accuracy".
        tfma: Class name in TFMA or Keras, for instance "SparseCategoricalAccuracy".
        config: Arguments of that class.
        higher_is_better: Direction of the comparison with the live model.
    """

    name: str
    tfma: str
    config: Mapping[str, Any] = field(default_factory=dict)
    higher_is_better: bool = True


CLASSIFICATION = (
    Metric("accuracy", "SparseCategoricalAccuracy"),
    Metric("loss", "SparseCategoricalCrossentropy", higher_is_better=False),
)


@dataclass(frozen=True)
class Gate:
    """What a model must reach on the test split to be published.

    Args:
        at_least: Lower bounds over the whole test split, by metric.
        at_most: Upper bounds over the whole test split, by metric.
        slices: Lower bounds in every slice: {feature: {metric: bound}}.
        min_slice_examples: Slices with fewer examples are reported and not judged.
        no_worse: By how much a metric may fall behind the live model's: {metric: tolerance}.
        quick: Lower bounds that replace `at_least` and `slices` in a --quick run.
    """

    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    min_slice_examples: int = 20
    no_worse: Mapping[str, float] = field(default_factory=dict)
    quick: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Quick:
    """How far --quick shrinks a run: rows per split, and epochs."""

    train_rows: int = 2000
    other_rows: int = 500
    epochs: int = 3


class Params(Protocol):
    """Hyperparameters of a recipe: a frozen dataclass with at least these fields."""

    epochs: int
    batch_size: int
    patience: int


@dataclass(frozen=True)
class Spec:
    """What `build` learns of the data.

    Attributes:
        features: Shape without the batch and dtype name of each preprocessed feature.
        classes: Declared classes in the order of the outputs; empty if the label is a number.
        steps: Optimizer steps of the whole training, for learning-rate schedules.
    """

    features: Mapping[str, tuple[tuple[int, ...], str]]
    classes: tuple[str, ...]
    steps: int


def no_augmentation(p: Any) -> list[Any]:  # noqa: ARG001
    """The default of `Recipe.augment`."""
    return []


def no_signatures(served: Any) -> dict[str, Any]:  # noqa: ARG001
    """The default of `Recipe.signatures`."""
    return {}


@dataclass(frozen=True)
class Recipe:
    """One model, from its data to its gate.

    Args:
        data: A data set (`pipeline.datasets`).
        split: `Official()` or `Hash()`.
        params: Default hyperparameters, an instance of a frozen dataclass (see `Params`).
        preprocess: (inputs, p) -> features: a TensorFlow Transform graph, used in training and in the served model.
            `inputs` are the raw features without the label, one tensor (batch,) or (batch, …) each.
        build: (p, spec) -> compiled `keras.Model` over a dict of features. The last layer of a classifier gives
            probabilities.
        augment: (p) -> Keras layers applied one after the other to `augmented`, on training batches only.
        augmented: The feature that `augment` works on.
        signatures: (served) -> {name: endpoint}, beyond the default ones.
        metrics: TFMA metrics of the evaluation.
        gate: Thresholds.
        quick: Size of a --quick run.
        bad_share: Share of unreadable rows above which a run fails; such rows are listed in any case.
    """

    data: Any
    params: Any
    preprocess: Callable[[dict[str, Any], Any], dict[str, Any]]
    build: Callable[[Any, Spec], Any]
    split: Official | Hash = field(default_factory=Hash)
    augment: Callable[[Any], list[Any]] = no_augmentation
    augmented: str = "image"
    signatures: Callable[[Any], dict[str, Any]] = no_signatures
    metrics: tuple[Metric, ...] = CLASSIFICATION
    gate: Gate = field(default_factory=Gate)
    quick: Quick = field(default_factory=Quick)
    bad_share: float = 0.0
