"""The parts of the train step."""
