"""What lies on disk: the layout of a workspace, files that appear whole, locks, the journal, the champions."""
