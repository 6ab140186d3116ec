"""Figures of a run: pure functions from data to a Matplotlib figure or an image."""
