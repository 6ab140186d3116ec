"""A Keras and TFX pipeline, from raw data to a model that is served and watched."""
