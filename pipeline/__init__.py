"""The road from raw data to a published model."""
