"""Public data sets, one file each: source, licence and reader."""
