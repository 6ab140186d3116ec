"""Runs and their files: requests, results, records, comparison, lineage, repetition, clean-up."""
