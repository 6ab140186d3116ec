"""Schedulers decide when a request runs and which requests share a batch."""
