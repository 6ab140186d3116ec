"""The server as processes: one that serves, or several workers with a supervisor."""
