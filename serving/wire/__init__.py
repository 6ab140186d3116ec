"""What travels: JSON and tensors, as pure functions between bytes and numpy."""
