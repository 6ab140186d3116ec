"""Tuning: a search over a recipe's hyperparameters and architecture, on the train and eval splits alone.

Optuna and not TFX's Tuner: that component runs KerasTuner's whole search as one step, which prunes nothing but by
Hyperband, keeps nothing of a killed search, and tells of no trial before the last one is over.
"""
