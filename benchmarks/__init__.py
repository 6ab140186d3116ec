"""The measured speeds beside the ones to reach: `python -m benchmarks`."""
