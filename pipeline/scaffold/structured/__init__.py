"""Recipes for answers with structure: boxes, masks, translations."""
