"""Metrics of scores and images. No module here needs a model."""
