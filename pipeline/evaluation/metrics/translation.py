"""Metrics of translations: BLEU and chrF, as sacrebleu computes them.

Sources: K. Papineni et al., BLEU, ACL 2002; M. Popović, chrF, WMT 2015; M. Post, A call for clarity in reporting BLEU
scores, WMT 2018 (sacrebleu: its own tokenizer, so that numbers of different papers can be compared).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation.bootstrap import Statistic

if TYPE_CHECKING:
    from collections.abc import Sequence


def bleu(truth: Sequence[str], translated: Sequence[str]) -> Statistic:
    """Returns BLEU from 0 to 100 over sentences, against one true translation each."""
    from sacrebleu.metrics import BLEU

    return _over_sentences(BLEU(), truth, translated)


def chrf(truth: Sequence[str], translated: Sequence[str]) -> Statistic:
    """Returns chrF2 from 0 to 100 over sentences, against one true translation each."""
    from sacrebleu.metrics import CHRF

    return _over_sentences(CHRF(), truth, translated)


def _over_sentences(metric: Any, truth: Sequence[str], translated: Sequence[str]) -> Statistic:
    """Returns a metric of sacrebleu that sums the counts of any sentences.

    Its public functions count all n-grams again for every sample of sentences; its own tests of significance sum the
    counts, too, through these two methods.
    """
    counts = np.array(metric._extract_corpus_statistics(list(translated), [list(truth)]))  # noqa: SLF001
    return Statistic(
        len(counts),
        lambda rows: float(metric._compute_score_from_stats(counts[rows].sum(axis=0).tolist()).score),  # noqa: SLF001
    )
