"""Names of the files that a training writes into the folder of its model_run."""

HISTORY = "history.json"  # metrics by epoch
MODEL = "model.json"  # weights, operations, signatures of the export
AUGMENTATION = "augmentation.png"  # images before and after augmentation
ANIMATION, STRIP, TEXTS = "generated.gif", "generated.png", "generated.txt"  # what a generator drew in each epoch
PICTURES = (AUGMENTATION, ANIMATION, STRIP, TEXTS)
