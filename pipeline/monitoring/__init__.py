"""Monitoring: whether live requests, or new data, still look like a model's training data.

Both sides are counted in the same histograms (`profile.Baseline`, built from the training data) and compared by the
distances that TFDV uses for its drift and skew comparators. TFDV itself is not called: importing it takes ten
seconds, and it builds new histograms for each side.
"""
