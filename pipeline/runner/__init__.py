"""How a run is carried out: the TFX pipeline, its steps one by one, and what happens around and after them."""
