"""How good vectors are that were learnt without labels: a linear probe, their spread, and how many directions they use.

Sources: G. Alain, Y. Bengio, Understanding intermediate layers using linear classifier probes, arXiv:1610.01644;
X. Chen, K. He, Exploring simple siamese representation learning, CVPR 2021, section 4.1 (spread); O. Roy, M. Vetterli,
The effective rank, EUSIPCO 2007, definition 1.
"""

from __future__ import annotations

import math

import numpy as np

STRENGTH = 0.01
ITERATIONS = 1000  # at most
NEVER = -1e4  # logit of a class without rows


def fit_probe(
    vectors: np.ndarray, labels: np.ndarray, classes: int, strength: float = STRENGTH
) -> tuple[np.ndarray, np.ndarray]:
    """Fits logistic regression to vectors, each of whose numbers counts in its standard deviations.

    Args:
        vectors: Of some rows, (rows, width).
        labels: Their class numbers, (rows,); two classes at least.
        classes: Number of classes; one without rows gets nearly no probability.
        strength: The C of scikit-learn: of the fit against small weights.

    Returns:
        Kernel (width, classes) and bias (classes,) of logits for the vectors as they are.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(vectors)
    fit = LogisticRegression(C=strength, max_iter=ITERATIONS, solver="newton-cg")
    fit.fit(scale.transform(vectors), labels)
    weights, free = fit.coef_, fit.intercept_
    if len(weights) == 1:  # of two classes the second one's logit
        weights, free = np.concatenate([0 * weights, weights]), np.concatenate([0 * free, free])
    kernel, bias = np.zeros((vectors.shape[1], classes)), np.full(classes, NEVER)
    kernel[:, fit.classes_] = (weights / scale.scale_).T
    bias[fit.classes_] = free - (weights / scale.scale_) @ scale.mean_
    return kernel, bias


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
