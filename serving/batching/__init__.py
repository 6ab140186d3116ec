"""Schedulers: when a request runs, and which others share its run."""
