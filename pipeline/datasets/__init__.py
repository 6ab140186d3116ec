"""Where examples come from: one file per data set, one per file format."""
