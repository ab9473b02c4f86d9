"""Variational autoencoders in JAX and Flax for image anomaly detection."""

__version__ = "0.1.0"
