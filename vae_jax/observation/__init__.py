"""What a VAE explains instead of pixels: frozen functions of the image."""
