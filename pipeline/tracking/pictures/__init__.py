"""Pictures of a run: pure functions from data to a matplotlib Figure, one picture per file."""
