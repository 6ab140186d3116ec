"""Predictions for all rows of a file or folder: streaming, resumable, with bad rows written aside."""
