"""The VAE of features in PyTorch, with the layers of `vae_jax/model/spatial.py`."""

import torch
from torch import nn
from torch.nn import functional


class SpatialVAE(nn.Module):
    """A VAE of a grid of features with a grid of vectors as latent; g is even.

    Args:
        grid: height and width g of the grid of features.
        channels: number of features of each place.
        latent_dim: number of latent dimensions of each place of the coarse grid.
        width: channels of the hidden layers.
    """

    def __init__(self, grid: int, channels: int, latent_dim: int, width: int):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 1),
            _make_gelu(),
            nn.Conv2d(width, width, 3, 2, 1),
            _make_gelu(),
            nn.Conv2d(width, width, 3, 1, 1),
            _make_gelu(),
        )
        self.mu, self.logvar = nn.Conv2d(width, latent_dim, 1), nn.Conv2d(width, latent_dim, 1)
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_dim, width, 3, 1, 1),
            _make_gelu(),
            nn.Conv2d(width, 4 * width, 1),
            nn.PixelShuffle(2),
            nn.Conv2d(width, width, 3, 1, 1, groups=width),
            _make_gelu(),
            nn.Conv2d(width, width, 1),
        )
        self.places = nn.Parameter(torch.zeros(1, width, grid, grid))
        self.mean = nn.Sequential(_make_gelu(), nn.Conv2d(width, channels, 1))
        self.log_sigma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def encode(self, x):
        """Returns mean and log-variance of the code of x [B, K, g, g], float32."""
        h = self.encoder(x)
        return self.mu(h).float(), self.logvar(h).float()

    def decode(self, z):
        """Returns the mean of the features, float32."""
        return self.mean(self.decoder(z) + self.places).float()


def _make_gelu():
    return nn.GELU(approximate="tanh")  # as flax computes it


def make_network(config, device):
    """Returns the network of the branch `features` of a config, in the format channels_last."""
    model = config.model
    network = SpatialVAE(
        model.grid, model.feature_channels, model.feature_latent_dim, model.feature_widths[0]
    )
    return network.to(device, memory_format=torch.channels_last)


def compute_loss(network: SpatialVAE, x, precision: str):
    """Returns the negative ELBO of one posterior sample, mean over images; bfloat16 means autocast."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        mu, logvar = network.encode(x)
        mean = network.decode(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu))
    log_sigma = network.log_sigma.clamp(-7, 7)
    # The constant of the normal density does not change the gradient.
    errors = 0.5 * ((x - mean) * torch.exp(-log_sigma)).square() + log_sigma
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar)
    return (errors.sum() + kl.sum()) / len(x)


def compute_cosine_distance(network: SpatialVAE, x, precision: str):
    """Returns one minus the cosine between features and reconstruction, mean over the places, [B]."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        mean = network.decode(network.encode(x)[0])
    return (1 - functional.cosine_similarity(x, mean, dim=1)).mean((1, 2))
