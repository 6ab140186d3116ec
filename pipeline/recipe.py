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
class Widths:
    """The architectures that a search may give a tuple: `Annotated[tuple[int, ...], Widths(1, 4, 8, 128)]`.

    Args:
        fewest: Number of entries at least: layers, blocks.
        most: Number of entries at most.
        low: Smallest width of an entry.
        high: Largest width; powers of two, and what lies halfway between them, are tried.
    """

    fewest: int
    most: int
    low: int
    high: int


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
class Group:
    """All rows with the same value of a column land on the same side, by hash of that value: speakers, patients."""

    column: str
    eval: float = 0.1
    test: float = 0.1


@dataclass(frozen=True)
class Time:
    """Train is the past, then comes eval, and test is the latest; a window that reaches over a border is dropped.

    Args:
        eval_from: ISO time at which eval begins, for instance "2013-07-01".
        test_from: ISO time at which test begins.
    """

    eval_from: str
    test_from: str


Split = Official | Hash | Group | Time


@dataclass(frozen=True)
class Metric:
    """A number that the gate and MLflow know by its name.

    Args:
        name: For instance "accuracy".
        tfma: Class name in TFMA or Keras, for instance "SparseCategoricalAccuracy"; empty if the recipe's `score`
            gives the number.
        config: Arguments of that class.
        higher_is_better: Direction of the comparison with the live model.
        positive: The class against all others, for a metric of two classes such as "AUC".
    """

    name: str
    tfma: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    higher_is_better: bool = True
    positive: str = ""


CLASSIFICATION = (
    Metric("accuracy", "SparseCategoricalAccuracy"),
    Metric("loss", "SparseCategoricalCrossentropy", higher_is_better=False),
)


@dataclass(frozen=True)
class Gate:
    """What a model must reach on the test split to be published.

    A bound that cannot be computed is not kept: a metric that is missing or NaN, a sliced feature or a declared class
    without examples, a calibration error without probabilities. In any case every declared metric must be a number, and
    the exported model must answer as the one in memory did.

    Args:
        at_least: Lower bounds over the whole test split, by metric.
        at_most: Upper bounds over the whole test split, by metric.
        slices: Lower bounds in every slice: {feature: {metric: bound}}.
        min_slice_examples: Slices with fewer examples are reported but not checked.
        no_worse: By how much a metric may fall behind the live model's: {metric: tolerance}. Beyond that a one-sided
            paired test over the same examples decides whether it is worse or may be unlucky; where a metric has no
            values by row, the difference alone decides.
        quick: Lower bounds that replace `at_least`, `at_most`, `slices` and `calibration` in a --quick run.
        calibration: Largest expected calibration error of a classifier's probabilities, between 0 and 1.
        latency_ms: Longest time of one row through `serving_default`, in milliseconds: the median of up to a hundred
            calls in the process that evaluates, on its machine. Higher percentiles would measure the machine's load.
        size_mb: Largest size of the SavedModel, in millions of bytes.
        significance: The paired test's p up to which a candidate counts as worse.
    """

    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    min_slice_examples: int = 20
    no_worse: Mapping[str, float] = field(default_factory=dict)
    quick: Mapping[str, float] = field(default_factory=dict)
    calibration: float | None = None
    latency_ms: float | None = None
    size_mb: float | None = None
    significance: float = 0.05


@dataclass(frozen=True)
class Quick:
    """How far --quick shrinks a run: rows per split, and epochs."""

    train_rows: int = 2000
    other_rows: int = 500
    epochs: int = 3


class Params(Protocol):
    """Hyperparameters of a recipe: a frozen dataclass with at least these fields.

    Two more mean something to the pipeline where a recipe has them: `fine_tune_epochs: int`, and `class_weight: float`,
    the power of a class's inverse frequency that weights its examples in the loss (0 none, 1 balanced).
    """

    epochs: int
    batch_size: int
    patience: int


def restore_params(params: dict[str, Any]) -> dict[str, Any]:
    """Hyperparameters after a journey through JSON, which knows no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}


@dataclass(frozen=True)
class Spec:
    """What `build` learns of the data.

    Attributes:
        features: Shape without the batch and dtype name of each preprocessed feature.
        classes: Declared classes in the order of the outputs; empty if the label is a number.
        steps: Optimizer steps of the whole training, for learning-rate schedules.
        vocabulary: Entries of each TFT vocabulary, by its `vocab_filename`.
    """

    features: Mapping[str, tuple[tuple[int, ...], str]]
    classes: tuple[str, ...]
    steps: int
    vocabulary: Mapping[str, int] = field(default_factory=dict)


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
        fine_tune: (model, p, spec) -> None: changes what is trainable and compiles anew, for a second fit of
            `p.fine_tune_epochs` epochs; None for none.
        finish: (model, rows) -> None: called once after training with batches (features, label) of the training
            split, for what is computed from a trained network, such as a threshold; assigns non-trainable weights.
        outputs: (model, features) -> {name: tensor (batch, …)}: what clients see. Calls the network itself, with
            `training=False`. None gives `label` and `probabilities`, or `value` where the label is a number.
        signatures: (served) -> {name: endpoint}: further ones, or another `serving_default`.
        predicted: The output that the metrics of TFMA are of; empty for `probabilities` or `value`.
        metrics: The numbers of the evaluation.
        score: (served, examples, others) -> {name: float}: the metrics that TFMA does not know. `served` and each of
            `others` answer `predict(signature, {input: array}) -> {output: array}`; `examples.test` and
            `examples.train` are the raw features, {name: array (rows, …)}.
        needs: Recipes whose live models `score` gets as `others`.
        gate: Thresholds.
        quick: Size of a --quick run.
        bad_share: Share of unreadable rows above which a run fails; such rows are listed in any case.
    """

    data: Any
    params: Any
    preprocess: Callable[[dict[str, Any], Any], dict[str, Any]]
    build: Callable[[Any, Spec], Any]
    split: Split = field(default_factory=Hash)
    augment: Callable[[Any], list[Any]] = no_augmentation
    augmented: str = "image"
    fine_tune: Callable[[Any, Any, Spec], None] | None = None
    finish: Callable[[Any, Any], None] | None = None
    outputs: Callable[[Any, dict[str, Any]], dict[str, Any]] | None = None
    signatures: Callable[[Any], dict[str, Any]] = no_signatures
    predicted: str = ""
    metrics: tuple[Metric, ...] = CLASSIFICATION
    score: Callable[[Any, Any, Mapping[str, Any]], Mapping[str, float]] | None = None
    needs: tuple[str, ...] = ()
    gate: Gate = field(default_factory=Gate)
    quick: Quick = field(default_factory=Quick)
    bad_share: float = 0.01
