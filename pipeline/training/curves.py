"""What the learning curves say, in words."""

from __future__ import annotations

import math

RISE = 0.1
GAP = 0.5
STILL_FALLING = 0.01
SMALL_LOSS = 0.05
RECENT = 3


def diagnose(history: dict[str, list[float]], *, stopped_early: bool) -> str:
    """Calls underfitting and overfitting by name, with the numbers that show it.

    Args:
        history: Values per epoch, `loss` and `val_loss` among them.
        stopped_early: Whether early stopping ended the training.
    """
    loss, val = history.get("loss", []), history.get("val_loss", [])
    if not loss or not val:
        return "no finished epoch, nothing to say."
    if not all(map(math.isfinite, [*loss, *val])):
        return "diverged: the loss is not a number; try a smaller learning_rate."
    best = min(range(len(val)), key=val.__getitem__)
    words = _underfitting(val, best, stopped_early=stopped_early) or _overfitting(loss, val, best)
    found = words or "no sign of under- or overfitting"
    return f"best epoch {best + 1} of {len(val)}, val_loss {val[best]:.4f}; {found}."


def _underfitting(val: list[float], best: int, *, stopped_early: bool) -> str:
    if stopped_early or best < len(val) - 1:
        return ""
    if len(val) == 1:
        return "underfitting is likely after a single epoch; more epochs may help"
    if val[-2] < val[-1] * (1 + STILL_FALLING):
        return ""
    return f"underfitting: val_loss was still falling ({val[-2]:.4f} to {val[-1]:.4f}); more epochs may help"


def _overfitting(loss: list[float], val: list[float], best: int) -> str:
    advice = "more data, dropout, l2 or augmentation may help"
    recent = val[best + 1 :][-RECENT:]
    rise = sum(recent) / len(recent) - val[best] if recent else 0.0
    if rise > max(RISE * val[best], SMALL_LOSS / 2) and loss[-1] < loss[best]:
        return (
            f"overfitting after epoch {best + 1}: val_loss rose to {val[best] + rise:.4f} while loss fell from "
            f"{loss[best]:.4f} to {loss[-1]:.4f}, and the weights of epoch {best + 1} are kept; {advice}"
        )
    if val[best] > SMALL_LOSS and val[best] - loss[best] > GAP * val[best]:
        return f"overfitting: val_loss {val[best]:.4f} against loss {loss[best]:.4f}; {advice}"
    return ""
