"""A share of a model's requests goes to its challenger, which is served as `NAME-challenger` beside it.

Which ones, a hash of the request decides, so that the same request always gets the same side's answer. A request that
names a version or a label is never moved, nor one for a model without a challenger.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from serving.core.models import Spec
from serving.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.core.models import Models
    from serving.core.servable import Lease

CHAMPION, CHALLENGER = "champion", "challenger"
_HASHES = 1 << 32


def challenger_of(name: str) -> str:
    """The name under which a model's challenger is served."""
    return f"{name}-{CHALLENGER}"


def side(body: bytes, share: float) -> str:
    """Which side answers a request: `champion` or `challenger`."""
    return CHALLENGER if zlib.crc32(body) < share * _HASHES else CHAMPION


class Canary:
    """Chooses who answers.

    Args:
        shares: Share of the challenger's requests by model, 0 to 1.
    """

    def __init__(self, shares: Mapping[str, float]) -> None:
        self.shares = dict(shares)

    def lease(self, models: Models, spec: Spec, body: bytes) -> Lease:
        """The version that is to answer a request without version and label.

        Raises:
            NotFound: Neither side is served.
        """
        share = self.shares.get(spec.name)
        if share is None:
            return models.plain(spec)
        chosen = side(body, share)
        if chosen == CHALLENGER:
            try:
                return _named(models.plain(Spec(challenger_of(spec.name))), spec.name, CHALLENGER)
            except NotFound:  # there is none, or none any more
                pass
        return _named(models.plain(spec), spec.name, CHAMPION)


def _named(lease: Lease, name: str, chosen: str) -> Lease:
    lease.name, lease.side = name, chosen
    return lease
