"""Reports for people: model cards, the report on the data, pictures of explanations."""
