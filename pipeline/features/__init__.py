"""What an image, a recording, a text or a date is: the check of a value, and its decoding in the TensorFlow graph."""
