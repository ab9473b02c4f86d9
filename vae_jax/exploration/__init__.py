"""What a trained model makes of its latent space: samples, paths, maps, and how good they are."""
