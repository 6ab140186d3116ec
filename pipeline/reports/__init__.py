"""The card of a version: what it is for, how well it does, where it fails, where it comes from, how to ask it."""
