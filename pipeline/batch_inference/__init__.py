"""Predictions for all rows of a file or folder: streaming and resumable, with bad rows in a separate file."""
