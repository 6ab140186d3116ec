"""The aliases of published versions, and the configuration of model servers."""
