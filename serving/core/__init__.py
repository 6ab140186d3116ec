"""Look up, check and run models, without a transport."""
