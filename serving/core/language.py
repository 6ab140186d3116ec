"""Which signatures of a language model only the server calls: they change the keys and values of conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.errors import FailedPrecondition

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGE_FILE = "assets.extra/language_model.json"
STATEFUL = ("prefill", "decode")


def reserved_signatures(folder: Path) -> frozenset[str]:
    """Names of the signatures that no client calls: those of a language model that hold everybody's conversations."""
    return frozenset(STATEFUL) if (folder / LANGUAGE_FILE).is_file() else frozenset()


def check_reserved(reserved: frozenset[str], signature: str) -> None:
    """Refuses a client's call of a signature that only the server itself calls.

    Raises:
        FailedPrecondition: It is one of them.
    """
    if signature in reserved:
        raise FailedPrecondition(
            f'Signature "{signature}" holds the conversations of all clients, and is called by the server only.\n'
            'Expected: "generate", or POST /v1/chat/completions\n'
            f'Received: "{signature}"'
        )
