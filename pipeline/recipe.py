"""The declaration of a model: the types that every recipe in `models/` uses. It imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        high: Largest width; the search tries powers of two and the midpoints between them.
    """

    fewest: int
    most: int
    low: int
    high: int


@dataclass(frozen=True)
class Official:
    """The data set has an official test split; `eval` is split off train by hash of the content.

    Args:
        eval: Share of train; 0 if the data set has an official eval split, too.
        group: Column whose rows of one value stay in one split, as the patches of a picture; empty for the content.
    """

    eval: float = 0.1
    group: str = ""


@dataclass(frozen=True)
class Hash:
    """Train, eval and test are split by hash of the content, so that a row is in the same split in every run."""

    eval: float = 0.1
    test: float = 0.1


@dataclass(frozen=True)
class Group:
    """All rows with the same value of a column are in the same split, by hash of that value: speakers, patients."""

    column: str
    eval: float = 0.1
    test: float = 0.1


@dataclass(frozen=True)
class Time:
    """Train is the oldest part, eval follows, test is the newest; a window that crosses a border is dropped.

    Args:
        eval_from: ISO time at which eval begins, for instance "2013-07-01".
        test_from: ISO time at which test begins.
    """

    eval_from: str
    test_from: str


@dataclass(frozen=True)
class GroupTime:
    """Of each value of a column the newest rows are test, those before them eval: what each user does next.

    Args:
        column: The group, for instance a user.
        eval: Share of the rows of a group, rounded down: a group with few rows is all train.
        test: The same.
    """

    column: str
    eval: float = 0.1
    test: float = 0.1


Split = Official | Hash | Group | Time | GroupTime


@dataclass(frozen=True)
class Metric:
    """A metric of the evaluation, by which name the gate and MLflow refer to it.

    Args:
        name: For instance "accuracy".
        tfma: Class name in TFMA or Keras, for instance "SparseCategoricalAccuracy"; empty if the recipe's `score`
            computes it.
        config: Arguments of that class.
        higher_is_better: Direction of the comparison with the champion.
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
    """The conditions that a model must meet on the test split to be published.

    A condition whose number cannot be computed is not met: a metric that is missing or NaN, a sliced feature or a
    declared class without examples, a calibration error without probabilities. Every declared metric must be a number,
    and the exported model must give the same answers as the one in memory. The champion is the version that is live.

    Args:
        at_least: Lower bounds over the whole test split, by metric.
        at_most: Upper bounds over the whole test split, by metric.
        slices: Lower bounds in every slice: {feature: {metric: bound}}.
        min_slice_examples: Slices with fewer examples are reported but not checked.
        no_worse: By how much a metric may be worse than the champion's: {metric: tolerance}. Beyond that a one-sided
            paired test on the same examples decides whether it is worse or the difference may be chance; for a metric
            without values by row, the difference alone decides.
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
    """The size of a --quick run: rows per split, and epochs."""

    train_rows: int = 2000
    other_rows: int = 500
    epochs: int = 3


class Params(Protocol):
    """Hyperparameters of a recipe: a frozen dataclass with at least these fields.

    Two more are optional: `fine_tune_epochs: int`, and `class_weight: float`, the power of a class's inverse frequency
    that weights its examples in the loss (0 none, 1 balanced).
    """

    epochs: int
    batch_size: int
    patience: int


def restore_params(params: dict[str, Any]) -> dict[str, Any]:
    """Restores the tuples in hyperparameters that were read from JSON, which has only lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}


@dataclass(frozen=True)
class Spec:
    """The facts about the data that `build` gets.

    Attributes:
        features: Shape without the batch and dtype name of each preprocessed feature that the network gets.
        classes: Declared classes in the order of the outputs; empty if the label is a number.
        steps: Optimizer steps of the whole training, for learning-rate schedules.
        vocabulary: Number of entries of each TFT vocabulary, by its `vocab_filename`.
        entries: The entries themselves, in their order, for a network that answers with them.
        tables: What rows refer to, as arrays by name (`Dataset.tables`): films, the edges of a graph.
    """

    features: Mapping[str, tuple[tuple[int, ...], str]]
    classes: tuple[str, ...]
    steps: int
    vocabulary: Mapping[str, int] = field(default_factory=dict)
    entries: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)


def no_augmentation(p: Any) -> list[Any]:  # noqa: ARG001
    """Returns no layers: the default of `Recipe.augment`."""
    return []


def no_signatures(served: Any) -> dict[str, Any]:  # noqa: ARG001
    """Returns no signatures: the default of `Recipe.signatures`."""
    return {}


@dataclass(frozen=True)
class Recipe:
    """One model, from its data to its gate.

    Args:
        data: A data set (`pipeline.datasets`).
        split: `Official(…)`, `Hash(…)`, `Group(…)`, `Time(…)` or `GroupTime(…)`.
        params: Default hyperparameters, an instance of a frozen dataclass (see `Params`).
        preprocess: (inputs, p) -> features: a TensorFlow Transform graph, used in training and in the served model.
            `inputs` are the raw features without the label, one tensor (batch,) or (batch, …) each. A feature whose
            name ends in `_bytes` is for `outputs`; the network does not get it.
        preprocess_targets: (targets, p) -> {name: tensor}: the same for the structured targets of a data set
            (`Dataset.targets`), for the loss: a dictionary, or the tensor if there is only one. None hands on the
            targets as they are.
        teacher: Preprocessed targets that the network also gets as features while it learns: the words of a sentence
            that come before the next one (teacher forcing).
        build: (p, spec) -> compiled `keras.Model` over a dict of features; a classifier gives probabilities.
        augment: (p) -> Keras layers applied in order to `augmented`, on training batches only.
        augmented: The feature that `augment` works on; empty if its layers map pairs (features, target) to such pairs,
            because the target moves with the picture.
        train: (model, data, p, spec, checkpoint) -> None: trains in place of one `fit`, see `pipeline.training.loop`.
        sample: (model, count) -> images (count, height, width, channels) in [0, 1], or texts, by fixed seeds, which are
            shown and watched in every epoch: `pipeline.training.callbacks.samples`.
        sides: Losses that rise and fall against each other, and the value below which one has won: {"critic": 0.05}.
        fine_tune: (model, p, spec) -> None: changes what is trainable and compiles again, for a second fit of
            `p.fine_tune_epochs` epochs; None for none.
        finish: (model, rows) -> None: called once after training with batches (features, label) of the training
            split, to compute values from the trained network, such as a threshold; assigns non-trainable weights.
        outputs: (model, features) -> {name: tensor (batch, …)}: the outputs for clients. Calls the network with
            `training=False`. None gives `label` and `probabilities`, or `value` where the label is a number.
        signatures: (served) -> {name: endpoint}: additional signatures, or another `serving_default`.
        assets: (served) -> {name: text}: files of the version's `assets.extra`, for servers that look for them.
        tokens: () -> the texts of the ids to which `preprocess` maps a text, in the order of the ids, "" for padding:
            `explain` names its parts by them. None where whole words have ids, which it finds out by itself.
        explained: (model, features) -> one number of each row, (batch,), that `explain` attributes to the features,
            where the outputs have none with a gradient: boxes, masks. None for the prediction.
        predicted: The output that TFMA's metrics evaluate; empty for `probabilities` or `value`.
        metrics: The metrics of the evaluation.
        score: (served, examples, others) -> {name: float or `pipeline.evaluation.bootstrap.Statistic`}: the metrics
            that TFMA lacks; a statistic also has an interval, slices and a test against the champion. `served` and
            each of `others` answer `predict(signature, {input: array}) -> {output: array}`; `examples.test` and
            `examples.train` are the raw features with label or padded targets, {name: array (rows, …)}.
        needs: Recipes whose champions `score` gets as `others`.
        gate: The conditions for publishing.
        quick: Size of a --quick run.
        bad_share: Share of unreadable rows above which a run fails; the run reports such rows in any case.
    """

    data: Any
    params: Any
    preprocess: Callable[[dict[str, Any], Any], dict[str, Any]]
    build: Callable[[Any, Spec], Any]
    split: Split = field(default_factory=Hash)
    preprocess_targets: Callable[[dict[str, Any], Any], dict[str, Any]] | None = None
    teacher: tuple[str, ...] = ()
    augment: Callable[[Any], list[Any]] = no_augmentation
    augmented: str = "image"
    train: Callable[[Any, Any, Any, Spec, Any], None] | None = None
    sample: Callable[[Any, int], Any] | None = None
    sides: Mapping[str, float] = field(default_factory=dict)
    fine_tune: Callable[[Any, Any, Spec], None] | None = None
    finish: Callable[[Any, Any], None] | None = None
    outputs: Callable[[Any, dict[str, Any]], dict[str, Any]] | None = None
    signatures: Callable[[Any], dict[str, Any]] = no_signatures
    assets: Callable[[Any], dict[str, str]] | None = None
    tokens: Callable[[], Sequence[str]] | None = None
    explained: Callable[[Any, dict[str, Any]], Any] | None = None
    predicted: str = ""
    metrics: tuple[Metric, ...] = CLASSIFICATION
    score: Callable[[Any, Any, Mapping[str, Any]], Mapping[str, Any]] | None = None
    needs: tuple[str, ...] = ()
    gate: Gate = field(default_factory=Gate)
    quick: Quick = field(default_factory=Quick)
    bad_share: float = 0.01
