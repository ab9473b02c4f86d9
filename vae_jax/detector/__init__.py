"""A trained model as a detector: it scores new images without the data that it was trained on."""
