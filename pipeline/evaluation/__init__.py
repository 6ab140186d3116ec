"""The numbers of a candidate on the test split, and the gate: the checks that decide whether it may go live."""
