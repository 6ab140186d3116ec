"""Figures of a run, as pure functions from data to a Matplotlib figure or an image."""
