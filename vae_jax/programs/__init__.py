"""The scores of a detector as pure JAX functions, and their export to files that other programs run."""
