"""Recipes read as text: where they lie, their hyperparameters, the digests of their code, their recorded results."""
