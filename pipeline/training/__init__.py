"""Training: input pipeline, fit, callbacks, devices, and the layers and optimizers that recipes use."""
