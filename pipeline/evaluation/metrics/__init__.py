"""Metrics of structured answers: boxes, masks, sentences, rankings, pictures; each one a `Statistic` over rows."""
