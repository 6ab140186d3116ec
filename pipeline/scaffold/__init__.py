"""Writes a new recipe from data: inspects a path, chooses roles, sizes and gate, and renders the file."""
