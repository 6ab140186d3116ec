"""Records runs in MLflow from their journals, in a separate process.

Nothing here imports mlflow before it is used, because the import takes seconds.
"""
