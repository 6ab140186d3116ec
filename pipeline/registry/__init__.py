"""Which published version answers under which alias, and how model servers are told."""
