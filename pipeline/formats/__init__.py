"""File formats that examples are read from: tables, JSON lines, Parquet, TFRecord, arrays, folders, time series."""
