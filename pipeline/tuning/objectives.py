"""What a search improves: metrics of the eval split, and costs of the trained network; each has its direction."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import PipelineError, UsageError

FEWEST, MOST = 2, 4  # with more, nearly all points are on the front (Deb and Jain, NSGA-III, 2014, section I)
PREFIX = "val_"  # of the eval split's metrics, as Keras names them
MAXIMIZED_PREFIXES = ("acc", "auc", "f1", "precision", "recall", "r2", "io", "similarity")  # prefixes in names
SAME_LETTERS = 4  # latency, size, params, flop: costs by another name, while loss is near flops
DIRECTIONS = {"max": True, "min": False}


class UnknownObjectiveError(PipelineError):
    """The network does not have what the search improves; no other trial's would."""


@dataclass(frozen=True)
class Objective:
    """One number that a search improves.

    Attributes:
        name: As tables show it: "val_loss", "accuracy", "latency_ms".
        maximize: Whether a larger one is better.
        metric: The metric of the eval split, as Keras names it; empty for a cost.
        unit: For the axis of a picture: "ms".
        meaning: What is measured, in words.
        is_count: Whether its values are whole numbers.
    """

    name: str
    maximize: bool
    metric: str = ""
    unit: str = ""
    meaning: str = ""
    is_count: bool = False

    @property
    def direction(self) -> str:
        """The word for it: max or min."""
        return "max" if self.maximize else "min"

    @property
    def axis(self) -> str:
        """Title of its axis, with the unit and what is better."""
        unit = f", {self.unit}" if self.unit else ""
        return f"{self.meaning}{unit} ({'more' if self.maximize else 'less'} is better)"

    def loss(self, value: float) -> float:
        """Returns a value that is smaller for a better one."""
        return -value if self.maximize else value


COSTS = {
    cost.name: cost
    for cost in (
        Objective("latency_ms", False, unit="ms", meaning="latency of one row"),
        Objective("size_mb", False, unit="MB", meaning="size of the SavedModel"),
        Objective("parameters", False, unit="number", meaning="parameters", is_count=True),
        Objective("flops", False, unit="FLOP", meaning="operations for one row", is_count=True),
    )
}


def is_maximized(metric: str) -> bool:
    """Whether a larger value of a metric is better, by its name: an accuracy is, an error is not."""
    return any(word.startswith(MAXIMIZED_PREFIXES) for word in metric.split("_"))


def single_objective(metric: str) -> Objective:
    """Returns the objective of `--objective`.

    Raises:
        UsageError: It is no metric of the eval split.
    """
    if not metric.startswith(PREFIX):
        raise UsageError(
            "The objective must be a metric of the eval split.",
            expected="a name that begins with val_, such as val_loss",
            received=metric,
            action="correct --objective",
        )
    return Objective(metric, is_maximized(metric), metric)


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """Returns the objectives of `--objectives accuracy,latency_ms`.

    `NAME:max` or `NAME:min` says the direction where the name of a metric does not.

    Raises:
        UsageError: An unknown name or direction, one objective twice, or fewer than two or more than four.
    """
    objectives = tuple(_parse_objective(word.strip(), text) for word in text.split(","))
    names = [objective.name for objective in objectives]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise _usage_error(f"{repeated[0]} is given twice.", text, "leave one out; val_accuracy and accuracy are one")
    if not FEWEST <= len(names) <= MOST:
        single = f", or improve it alone: --objective {objectives[0].metric or 'val_loss'}"
        many = "; with more, nearly no trial is worse than another in all of them"
        raise _usage_error(
            f"--objectives takes {FEWEST} to {MOST} names.",
            text,
            f"add one{single}" if len(names) < FEWEST else f"leave some out{many}",
        )
    return objectives


def _parse_objective(word: str, text: str) -> Objective:
    name, _, direction = word.partition(":")
    if (direction and direction not in DIRECTIONS) or word.endswith(":"):
        raise _usage_error(f"{word!r} has no direction.", text, f"write {name}:max or {name}:min")
    metric = name if name.startswith(PREFIX) else PREFIX + name
    name = name.removeprefix(PREFIX)
    if not name:
        raise _usage_error("A name is missing.", text, "correct --objectives")
    if name in COSTS:
        if metric == word.partition(":")[0] or direction == "max":
            raise _usage_error(f"{name} is a cost of the network: less is better.", text, f"write {name}")
        return COSTS[name]
    alike = [cost for cost in COSTS if cost[:SAME_LETTERS] == name[:SAME_LETTERS]]
    if alike and not word.startswith(PREFIX):
        hint = f"did you mean {alike[0]}? A metric of that name: {metric}"
        raise _usage_error(f"There is no objective {name!r}.", text, hint)
    meaning = f"{name} on the eval split"
    return Objective(name, DIRECTIONS.get(direction, is_maximized(name)), metric, meaning=meaning)


def _usage_error(what: str, text: str, action: str) -> UsageError:
    costs = ", ".join(COSTS)
    expected = f"{FEWEST} to {MOST} different names: metrics of the eval split, such as accuracy or loss, or {costs}"
    return UsageError(what, expected=expected, received=text, action=action)
