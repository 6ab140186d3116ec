"""Runs and what they left behind: requests, results, records, comparison, lineage, repetition, clean-up."""
