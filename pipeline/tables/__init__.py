"""How a table is written: encoding, delimiter, header, numbers; spellings of classes, and names of columns."""
