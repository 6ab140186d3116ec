"""What the learning curves say, in words."""

from __future__ import annotations

import math

OVERFIT_RISE = 0.1
GENERALIZATION_GAP = 0.5
STILL_FALLING = 0.01


def diagnose(history: dict[str, list[float]], *, stopped_early: bool) -> str:
    """Calls underfitting and overfitting by name, with the numbers that show it.

    Args:
        history: Values per epoch: `loss` and `val_loss`, and `accuracy` with `val_accuracy` if there are any.
        stopped_early: Whether early stopping ended the training.
    """
    loss, val = history.get("loss", []), history.get("val_loss", [])
    if not loss or not val:
        return "no finished epoch, nothing to say."
    if not all(map(math.isfinite, [*loss, *val])):
        return "diverged: the loss is not a number; try a smaller learning_rate."
    best = min(range(len(val)), key=val.__getitem__)
    words = [f"best epoch {best + 1} of {len(val)}, val_loss {val[best]:.4f}"]
    rise = val[-1] / max(val[best], 1e-12) - 1
    if rise > OVERFIT_RISE and loss[-1] < loss[best]:
        words.append(
            f"overfitting after epoch {best + 1}: val_loss rose by {rise:.0%} while loss fell from {loss[best]:.4f} to "
            f"{loss[-1]:.4f}; the weights of epoch {best + 1} are kept. More dropout, l2 or augmentation may help"
        )
    elif val[best] - loss[best] > GENERALIZATION_GAP * max(val[best], 1e-12) and val[best] > STILL_FALLING * 10:
        words.append(
            f"overfitting: val_loss {val[best]:.4f} against loss {loss[best]:.4f}. More data, dropout, l2 or "
            "augmentation may help"
        )
    elif not stopped_early and best == len(val) - 1 and len(val) > 1 and val[-2] / max(val[-1], 1e-12) - 1 > STILL_FALLING:
        words.append(
            f"underfitting: val_loss was still falling ({val[-2]:.4f} to {val[-1]:.4f}). More epochs may help"
        )
    else:
        words.append("no sign of under- or overfitting")
    return "; ".join(words) + "."
