"""The exported SavedModel: its signatures, its check against the network in memory, its explanations."""
