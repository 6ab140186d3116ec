"""A model asked about a whole file or folder: streaming, resumable, bad rows aside."""
