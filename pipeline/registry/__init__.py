"""Which published version answers under which alias, and the configuration of model servers."""
