"""The execution of a run: the TFX pipeline, its steps one by one, and the hooks around and after them."""
