"""The catalogue: one recipe per file."""
