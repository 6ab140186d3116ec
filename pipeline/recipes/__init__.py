"""Recipes read as text: their files, hyperparameters, digests of code, and recorded results."""
