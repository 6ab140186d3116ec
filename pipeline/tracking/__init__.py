"""What a run leaves in MLflow: recorded from its journal, by a process of its own.

Nothing here imports mlflow before it is used: the pipeline starts a recorder, looks up an alias and opens the
dashboard without paying for it.
"""
