"""MLflow's pages on a workspace: starts its server, and chooses the charts of a run."""
