"""Names of the files that a training writes into the folder of its model_run."""

HISTORY = "history.json"  # metrics by epoch
MODEL = "model.json"  # weights, operations, signatures of the export
