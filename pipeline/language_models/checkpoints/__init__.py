"""Language models on a disk, in the forms in which they are handed on: GGUF, safetensors, Keras Hub's presets."""
