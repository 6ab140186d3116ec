"""What a server takes from the environment; the only reader of it in this package."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Environment:
    """Settings that an image or a secret store sets; the command line comes first.

    Attributes:
        host: `KERASPIPE_SERVING_HOST`, the address to listen at; empty for loopback.
        token: `KERASPIPE_SERVING_TOKEN`, the bearer token; empty for none.
        insecure: `KERASPIPE_SERVING_INSECURE=1`, listen beyond loopback without a token.
    """

    host: str = ""
    token: str = field(default="", repr=False)
    insecure: bool = False


def read() -> Environment:
    """The environment of this process."""
    return Environment(
        host=os.environ.get("KERASPIPE_SERVING_HOST", ""),
        token=os.environ.get("KERASPIPE_SERVING_TOKEN", ""),
        insecure=os.environ.get("KERASPIPE_SERVING_INSECURE", "") == "1",
    )
