"""Public data sets, one file each: where they come from, their licence, and how they are read."""
