"""Encode and decode JSON and tensors: pure functions between bytes and numpy."""
