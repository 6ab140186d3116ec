"""Reports for people: the card of a version, the report on the data, explanations."""
