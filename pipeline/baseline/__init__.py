"""Baselines: standard models of scikit-learn on the rows of a run, which show what its network is worth."""
