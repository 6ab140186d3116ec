"""Files of a workspace: its layout, atomic writes, locks, digests, the journal, the record of champions."""
