"""Benchmarks and their targets: `python -m benchmarks`."""
