"""Source files -> prepared TFDS data -> decoded uint8 images, each of which has a role."""
