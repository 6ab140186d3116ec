"""CartPole: a pole on a cart that is pushed left or right; steps of a scripted player, and the environment itself.

Source: A. G. Barto, R. S. Sutton, C. W. Anderson, Neuronlike adaptive elements that can solve difficult learning
control problems, IEEE Transactions on Systems, Man, and Cybernetics 13(5), 1983; as CartPole-v1 of Gymnasium (MIT
licence): a reward of 1 for each step until the pole leans by more than 12 degrees, the cart leaves the track, or 500
steps are done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np

NAME = "CartPole-v1"
LONGEST = 500  # steps of an episode, each with a reward of 1
ACTIONS = ("left", "right")
CARELESS = 0.4  # share of the scripted player's pushes that are random
EPISODE_SEED = 1_000_000  # of the first episode; those that are trained and judged on have smaller ones


@dataclass(frozen=True)
class CartPole:
    """Raw input `observation` (position, speed, angle, angular speed), targets of a step, and its `episode`.

    The scripted player pushes the cart under the pole, and at random in a share of the steps, so that there are steps
    far from the middle, too. The targets are `action` (0 left, 1 right), `reward`, `next_observation`, and `ended`: 1
    where the pole fell or the cart left the track, not where the time was up.
    """

    episodes: int = 100
    label: str = ""
    classes: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ("episode",)
    inputs: dict[str, str] = field(default_factory=lambda: {"observation": "float[4]"})
    targets: dict[str, str] = field(
        default_factory=lambda: {"action": "int", "reward": "float", "next_observation": "float[4]", "ended": "int"}
    )

    def files(self, data: Path) -> list[Path]:  # noqa: ARG002
        """Returns this file, which says how the player plays.

        Raises:
            PipelineError: Gymnasium is not installed.
        """
        make_environment().close()
        return [Path(__file__)]

    def examples(self, data: Path) -> Iterator[Example]:  # noqa: ARG002
        """Yields the steps, episode by episode."""
        import numpy as np

        environment = make_environment()
        for episode in range(self.episodes):
            chance = np.random.default_rng(episode)
            observation, _ = environment.reset(seed=EPISODE_SEED + episode)
            for step in range(LONGEST):
                careful = int(observation[2] + observation[3] > 0)
                action = int(chance.integers(2)) if chance.random() < CARELESS else careful
                following, reward, ended, late, _ = environment.step(action)
                features: dict[str, Any] = {
                    "observation": observation.tolist(),
                    "action": action,
                    "reward": float(reward),
                }
                features |= {"next_observation": following.tolist(), "ended": int(ended), "episode": episode}
                yield Example(f"{NAME} episode {episode} step {step}", features)
                observation = following
                if ended or late:
                    break
        environment.close()


CARTPOLE = CartPole()


def make_environment() -> Any:
    """Returns the environment.

    Raises:
        PipelineError: Gymnasium is not installed.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise PipelineError(
            "The environment of the recipe is missing.",
            expected="the package gymnasium",
            received="it is not installed",
            action="uv sync --extra gym",
        ) from error
    return gymnasium.make(NAME, disable_env_checker=True)


def play(policy: Callable[[np.ndarray], np.ndarray], seeds: Sequence[int]) -> np.ndarray:
    """Plays an episode for each seed, all at the same time.

    Args:
        policy: Observations (n, 4) of float32 -> actions (n,).
        seeds: Of the episodes' beginnings.

    Returns:
        The returns, (seeds,): from 1 to 500.
    """
    import numpy as np

    environments = [make_environment() for _ in seeds]
    begun = zip(environments, seeds, strict=True)
    observations = np.stack([environment.reset(seed=int(seed))[0] for environment, seed in begun])
    returns, running = np.zeros(len(environments)), np.arange(len(environments))
    while len(running):
        going = []
        for place, action in zip(running, policy(observations[running]), strict=True):
            observations[place], reward, ended, late, _ = environments[place].step(int(action))
            returns[place] += reward
            going.append(not (ended or late))
        running = running[going]
    for environment in environments:
        environment.close()
    return returns
