"""What the figures of a likelihood mean, and what they do not, for those who compare them with others."""

_GREYS = (
    "nll_nats, elbo_nats and bits_per_dim are cross-entropies and no likelihoods: bernoulli is a "
    "distribution of black and white pixels, and these are grey (data.binarise=static or dynamic draws "
    "black and white ones)"
)
_PROFILE = (
    "nll_nats, elbo_nats and bits_per_dim are no likelihoods: gaussian_optimal fits sigma to the image "
    "itself, so its density does not integrate to 1"
)
_DENSITY = (
    "bits_per_dim comes from a density at the grey values themselves, without dequantisation, so it is not "
    "a code length and cannot be compared with published bits per dimension"
)
_OBSERVATION = "nll_nats and elbo_nats are those of features or bands, and not of images"


def describe_meaning(likelihood: str, is_binary: bool, explains_pixels: bool = True) -> str:
    """Returns what the figures are not, in one sentence; "" if they are likelihoods of the images.

    Args:
        likelihood: name in `distributions.LIKELIHOODS`.
        is_binary: whether the images are black and white.
        explains_pixels: whether the model explains the pixels, and no other observation.
    """
    if not explains_pixels:
        return _OBSERVATION
    if likelihood == "bernoulli":
        return "" if is_binary else _GREYS
    if likelihood == "gaussian_optimal":
        return _PROFILE
    return "" if likelihood == "discretised_logistic" else _DENSITY
