"""Tuning: a search over a recipe's hyperparameters and architecture, on the train and eval splits alone.

Optuna and not TFX's Tuner: that component runs KerasTuner's whole search as one step, which prunes only with
Hyperband, keeps nothing of a killed search, and reports no trial before the last one has ended.
"""
