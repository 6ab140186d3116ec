"""Federated learning: who has which rows, and what the privacy of a client costs.

Papers: H. B. McMahan et al., Communication-efficient learning of deep networks from decentralized data, AISTATS 2017,
section 3 (shards); H. B. McMahan et al., Learning differentially private recurrent language models, ICLR 2018, section
2 (the privacy of a client); I. Mironov, Rényi differential privacy, CSF 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    import numpy as np

SHARDS = 2  # of one class each, for a client
ORDERS = (*range(2, 65), 128, 256, 512)  # of Rényi's divergence; the series of broken ones below 2 seldom ends


def deal_rows(labels: np.ndarray, clients: int, seed: int, *, iid: bool = False) -> list[np.ndarray]:
    """Deals rows out to clients.

    Args:
        labels: Class numbers or names, (rows,).
        clients: Number of clients.
        seed: Of the dealer.
        iid: At random; otherwise each gets `SHARDS` shards of one class each, of equal size within a class.

    Returns:
        The places of each client's rows, (rows of the client,); empty for a client that gets none.
    """
    import numpy as np

    dealer = np.random.default_rng(seed)
    if iid:
        return np.array_split(dealer.permutation(len(labels)), clients)
    classes = np.unique(labels)
    parts = -(-SHARDS * clients // max(len(classes), 1))
    places = [dealer.permutation(np.flatnonzero(labels == number)) for number in classes]
    shards = [shard for own in places for shard in np.array_split(own, parts)]
    order = dealer.permutation(len(shards))[: SHARDS * clients].reshape(clients, -1)
    return [np.concatenate([np.empty(0, int), *(shards[place] for place in own)]) for own in order]


def spent_epsilon(noise: float, share: float, rounds: int, delta: float) -> float:
    """Returns the epsilon that a client's data have spent.

    Args:
        noise: Standard deviation of the Gaussian noise, in largest norms of a client's change.
        share: Probability of a client to be asked in a round; each comes or not by chance of its own.
        rounds: Number of rounds.
        delta: The probability with which epsilon may not hold.

    Raises:
        PipelineError: dp-accounting is not installed.
    """
    try:
        from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
        from dp_accounting.rdp import RdpAccountant
    except ImportError as error:
        raise PipelineError(
            "Differential privacy cannot be accounted for.",
            expected="the package dp-accounting",
            received="it is not installed",
            action="uv sync --extra privacy; or leave out --set noise=…",
        ) from error
    event = PoissonSampledDpEvent(share, GaussianDpEvent(noise))
    return float(RdpAccountant(ORDERS).compose(SelfComposedDpEvent(event, rounds)).get_epsilon(delta))
