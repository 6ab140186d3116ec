"""What the answers of a model on the test split tell: pure functions over arrays, one notion per file."""
