"""The magnitude spectra of two images held against each other: texture, wherever it lies."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def magnitude_error(
    x: Float[Array, "B H W C"], x_hat: Float[Array, "B H W C"]
) -> Float[Array, "B H W C"]:
    """Returns ( |F x| - |F x_hat| )^2 of every frequency; the phase does not count.

    F is the orthonormal discrete Fourier transform of each channel (`norm="ortho"`, divided by the square
    root of H W). By Parseval and the triangle inequality the sum over frequencies is at most the sum of
    squared errors over pixels, and its mean per frequency does not grow with the image.
    """
    magnitude, magnitude_hat = (
        jnp.abs(jnp.fft.fft2(image, axes=(1, 2), norm="ortho")) for image in (x, x_hat)
    )
    return jnp.square(magnitude - magnitude_hat)
