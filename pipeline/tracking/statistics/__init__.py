"""The report on a run's data: one HTML file that opens in MLflow and asks nothing of the network."""
