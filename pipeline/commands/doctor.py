"""`keraspipe doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.doctor import doctor

if TYPE_CHECKING:
    from argparse import Namespace

    from pipeline.settings import Settings


def command(options: Namespace, settings: Settings) -> int:
    """Says what is wrong with this machine."""
    return doctor(settings, as_json=options.json)
