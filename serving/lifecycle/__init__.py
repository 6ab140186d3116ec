"""Load, warm up, replace and unload the versions of models."""
