"""The steps of the road: pure functions, each with its thin TFX component beside it."""
