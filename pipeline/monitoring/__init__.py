"""Whether live requests, or new data, still look like the data that a model has learnt from.

Both sides are counted in the same cells (`profile.Baseline`, drawn from the training data) and compared by the
distances that TFDV uses for its drift and skew comparators. TFDV itself is not called: importing it takes ten
seconds, and it builds its histograms anew for each side.
"""
