"""How good vectors are that were learnt without labels: a linear probe, their spread, and how many directions they use.

Sources: G. Alain, Y. Bengio, Understanding intermediate layers using linear classifier probes, arXiv:1610.01644;
X. Chen, K. He, Exploring simple siamese representation learning, CVPR 2021, section 4.1 (spread); O. Roy, M. Vetterli,
The effective rank, EUSIPCO 2007, definition 1.
"""

from __future__ import annotations

import math

import numpy as np

STRENGTH = 0.01
ITERATIONS = 200
SMALL = 1e-6  # standard deviation of a number that is always the same


def fit_probe(
    vectors: np.ndarray, labels: np.ndarray, classes: int, strength: float = STRENGTH
) -> tuple[np.ndarray, np.ndarray]:
    """Fits softmax regression to vectors, each of whose numbers counts in its standard deviations.

    It is scikit-learn's LogisticRegression, in a tenth of the time, and classes may lack rows.

    Args:
        vectors: Of some rows, (rows, width).
        labels: Their class numbers, (rows,).
        classes: Number of classes; one without rows gets nearly no probability.
        strength: The C of scikit-learn: of the fit against small weights.

    Returns:
        Kernel (width, classes) and bias (classes,) for the vectors as they are.
    """
    from scipy.optimize import minimize

    middle, deviation = vectors.mean(axis=0), vectors.std(axis=0) + SMALL
    rows = np.pad((vectors - middle) / deviation, ((0, 0), (0, 1)), constant_values=1.0).astype(np.float32)
    right, decay = np.eye(classes, dtype=np.float32)[labels], 1 / (strength * len(rows))

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, classes)
        kernel = np.concatenate([weights[:-1], np.zeros((1, classes))])  # the bias is free
        logits = rows @ weights.astype(np.float32)
        chances = logits - logits.max(axis=1, keepdims=True)
        chances -= np.log(np.exp(chances).sum(axis=1, keepdims=True))
        slope = rows.T @ (np.exp(chances) - right) / len(rows) + decay * kernel
        loss = -float((chances * right).sum()) / len(rows) + decay / 2 * float((kernel**2).sum())
        return loss, slope.ravel().astype(float)

    start = np.zeros(rows.shape[1] * classes)
    weights = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS}).x.reshape(-1, classes)
    kernel = weights[:-1] / deviation[:, None]
    return kernel, weights[-1] - middle @ kernel


def measure_spread(vectors: np.ndarray) -> float:
    """Returns the mean standard deviation of vectors (rows, width) of length 1, times the root of the width.

    1 where they point everywhere, 0 where all are alike.
    """
    return float(vectors.std(axis=0).mean() * math.sqrt(vectors.shape[1]))


def effective_rank(vectors: np.ndarray) -> float:
    """Returns in how many directions vectors (rows, width) differ: exp of the entropy of their principal variances.

    From 1 to the width; 1 where all are alike, too.
    """
    variances = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    shares = variances / max(variances.sum(), np.finfo(float).tiny)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
