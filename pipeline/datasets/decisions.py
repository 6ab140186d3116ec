"""Decisions with their rewards: what a served policy has answered, by the server's request log, and what came of it.

The log is that of `keraspipe serve --request-log DIR`: a request has `features` and a `request_id`, its answer `action`
and `probability`. Rewards are lines of JSON, {"request_id": "…", "reward": 1.0}, that the application writes when it
knows them. Rows whose request or reward is missing say nothing, and are left out.

Source of the first decisions, before there is a log: scans of digits (`pipeline.datasets.digits`) that a policy names
nearly at random; a right name is rewarded. M. Dudík, J. Langford, L. Li, Doubly robust policy evaluation and learning,
ICML 2011, section 4.1, makes decisions of a classification so, for there the value of any policy is known.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.datasets.digits import Digits
from pipeline.errors import PipelineError
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np

LOG, REWARDS = "feedback", "feedback/rewards.jsonl"
COUNT = 8  # first decisions about each scan
FAVOURED = 0.3  # probability of the first policy for the action that it favours, beside its share of the rest
SEED = 20


@dataclass(frozen=True)
class Decisions:
    """Raw inputs `features` and `request_id`, targets `action`, `probability` and `reward`, and the row's `context`.

    The context numbers the features, so that all decisions about the same ones are in the same split (`Group`).

    Args:
        model: Name of the served policy.
        actions: Number of actions, from 0.
        size: Number of features.
        log: Folder of the request log, absolute or in the data folder.
        rewards: File of the rewards, likewise.
        simulated: Takes the first decisions about digits where there is no log.
    """

    model: str
    actions: int
    size: int
    log: str = LOG
    rewards: str = REWARDS
    simulated: bool = False
    label: str = ""
    classes: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ("request_id", "context")
    targets: dict[str, str] = field(
        default_factory=lambda: {"action": "int", "probability": "float", "reward": "float"}
    )

    @property
    def inputs(self) -> dict[str, str]:
        """The features, and the id by which the reward is known."""
        return {"features": f"float[{self.size}]", "request_id": "bytes"}

    def files(self, data: Path) -> list[Path]:
        """Returns the log's whole files and the rewards; those of digits without a log.

        Raises:
            PipelineError: There are no logged requests, or no rewards.
        """
        paths = self.log_files(data)
        if not paths and self.simulated:
            return Digits().files(data)
        rewards = data / self.rewards
        if not paths or not rewards.is_file():
            raise PipelineError(
                f"There are no decisions of {self.model}.",
                expected=f"requests in {data / self.log} and rewards in {rewards}",
                received="no logged requests" if not paths else "no rewards",
                action=f"keraspipe serve {self.model} --request-log {data / self.log} --request-log-rate 1, and write "
                'a line {"request_id": "…", "reward": 1.0} for each reward',
            )
        return [*paths, rewards]

    def log_files(self, data: Path) -> list[Path]:
        """Returns the files of the request log that are whole."""
        from serving.request_log.files import model_folder

        return sorted(model_folder(data / self.log, self.model).glob("[!.]*.tfrecord"))

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the decisions whose reward is known, in the order of the log."""
        self.files(data)
        if not self.log_files(data):
            yield from self._first_decisions(data)
            return
        rewards = read_rewards(data / self.rewards)
        for path in self.log_files(data):
            for source, decision in _read_file(path):
                if isinstance(decision, str):
                    yield Example(source, {}, fault=decision)
                elif decision["request_id"] in rewards:
                    yield self._example(source, {**decision, "reward": rewards[decision["request_id"]]})

    def _example(self, source: str, decision: Mapping[str, Any]) -> Example:
        fault = self._find_fault(decision)
        if fault:
            return Example(source, {}, fault=fault)
        import numpy as np

        features = np.asarray(decision["features"], np.float32)
        context = zlib.crc32(features.tobytes())
        return Example(source, {**decision, "features": features.tolist(), "context": context})

    def _find_fault(self, decision: Mapping[str, Any]) -> str:
        size, action, probability = len(decision["features"]), decision["action"], decision["probability"]
        if size != self.size:
            return f"{size} features, not {self.size}"
        if not 0 <= action < self.actions:
            return f"the action {action} is not from 0 to {self.actions - 1}"
        if not 0.0 < probability <= 1.0:
            return f"the probability {probability} is not above 0 and at most 1"
        return "" if math.isfinite(decision["reward"]) else "the reward is no number"

    def _first_decisions(self, data: Path) -> Iterator[Example]:
        import numpy as np

        pixels, labels = scans(data)
        chance = np.random.default_rng(SEED)
        for row, (features, label) in enumerate(zip(pixels, labels, strict=True)):
            probabilities = first_policy(features)
            for number, action in enumerate(chance.choice(len(probabilities), COUNT, p=probabilities)):
                decision = {"features": features, "request_id": f"{row}-{number}".encode(), "action": int(action)}
                decision |= {"probability": float(probabilities[action]), "reward": float(action == label)}
                yield self._example(f"scan {row} decision {number}", decision)


DIGIT_DECISIONS = Decisions("bandit", actions=10, size=64, simulated=True)


def scans(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pixels of the digits in [0, 1], (rows, 64) of float32, and what they are, (rows,)."""
    import numpy as np

    table = np.loadtxt(Digits().files(data)[0], delimiter=",", dtype=np.float32)
    return table[:, :-1] / 16.0, table[:, -1].astype(np.int64)


def first_policy(features: np.ndarray) -> np.ndarray:
    """Returns the probabilities of a policy that knows next to nothing: it favours one action by the ink of a scan."""
    import numpy as np

    probabilities = np.full(10, (1.0 - FAVOURED) / 10)
    probabilities[int(features.sum() * 10) % 10] += FAVOURED
    return probabilities


def read_rewards(path: Path) -> dict[bytes, float]:
    """Returns the rewards of a file by request; of several for the same request the last one.

    Raises:
        PipelineError: A line is no reward.
    """
    rewards = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            rewards[str(entry["request_id"]).encode()] = float(entry["reward"])
        except (ValueError, TypeError, KeyError) as error:
            raise PipelineError(
                f"Line {number} of {path} is no reward.",
                expected='{"request_id": "…", "reward": 1.0}',
                received=line[:80],
                action="correct the line, or delete it",
            ) from error
    return rewards


def _read_file(path: Path) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Yields the place of each decision in a file of the request log, and the decision, or why it is none."""
    from serving.errors import DataLoss
    from serving.request_log.records import read_logs

    number = 0
    try:
        for number, log in enumerate(read_logs(path), 1):
            if "action" in log.predict_log.response.outputs:  # other signatures answer otherwise
                yield from _read_request(f"{path} request {number}", log.predict_log)
    except DataLoss as error:
        yield f"{path} after request {number}", str(error).partition("\n")[0]


def _read_request(source: str, log: Any) -> Iterator[tuple[str, dict[str, Any] | str]]:
    from serving.errors import InvalidArgument
    from serving.wire import tensor_proto

    tensors = dict.fromkeys(("features", "request_id"), log.request.inputs)
    tensors |= dict.fromkeys(("action", "probability"), log.response.outputs)
    try:
        columns = {name: tensor_proto.decode(side[name], name) for name, side in tensors.items() if name in side}
    except InvalidArgument as error:
        yield source, str(error).partition("\n")[0]
        return
    if missing := [name for name in tensors if name not in columns]:
        yield source, f"no {' and no '.join(missing)}"
        return
    for row, parts in enumerate(zip(*columns.values(), strict=True)):
        features, request_id, action, probability = parts
        decision = {"features": features, "request_id": bytes(request_id), "action": int(action)}
        yield f"{source} row {row}", {**decision, "probability": float(probability)}
