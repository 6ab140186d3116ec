"""`keraspipe dashboard`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.tracking.dashboard import dashboard

if TYPE_CHECKING:
    from argparse import Namespace

    from pipeline.settings import Settings


def command(options: Namespace, settings: Settings) -> int:
    """Opens MLflow on the workspace until it is interrupted."""
    return dashboard(settings, options.port)
