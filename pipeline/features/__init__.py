"""Images, recordings, texts and dates: the check of a value, and its decoding in the TensorFlow graph."""
