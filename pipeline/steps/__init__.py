"""The steps of the pipeline: pure functions, each with its thin TFX component in the same file."""
