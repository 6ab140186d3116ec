"""JSON and tensors as they travel: pure functions between bytes and numpy."""
