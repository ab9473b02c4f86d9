"""Explores the latent space of a trained model: samples, paths and maps, and measures of their quality."""
