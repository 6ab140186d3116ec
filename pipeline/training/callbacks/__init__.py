"""Callbacks of a training: checkpoints, progress and curves, alarms, samples of a generator."""
