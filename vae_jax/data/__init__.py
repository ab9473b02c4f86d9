"""Files -> prepared TFDS data -> decoded uint8 images with a role each."""
