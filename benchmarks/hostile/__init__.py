"""Attackers of the server, and what measures it meanwhile; `python -m benchmarks.serving_attacks` runs them."""
