"""What each score measures, in plain sentences for the pages that a user reads.

The text of a score is put together from the parts of its name, which `score_names` describes: the measure,
the observation that it is computed on, and the way from all places to one number.
"""

from vae_jax.score_names import ScoreName, is_baseline, is_combination, parse_score_name

# Observation -> words for `{x}`, `{its}`, `{of_x}` and `{code}` of the texts below.
_WORDS = {
    "pixels": {"x": "the image", "its": "its", "of_x": "", "code": "the code"},
    "bands": {
        "x": "the texture bands of the image",
        "its": "their",
        "of_x": " of the bands",
        "code": "the code of the bands",
    },
    "features": {
        "x": "the features of the image",
        "its": "their",
        "of_x": " of the features",
        "code": "the code of the features",
    },
}

# Measure of a place -> its text, to which an aggregate is added.
_PLACE_TEXTS = {
    "mse": "The squared difference between {x} and {its} reconstruction",
    "l1": "The absolute difference between {x} and {its} reconstruction",
    "bce": "The binary cross-entropy of {x} and {its} reconstruction, in nats",
    "ssim": "One minus the structural similarity of {x} and {its} reconstruction",
    "cosine": "One minus the cosine of the angle between {x} at a place and {its} reconstruction",
    "place_nll": "The negative log-likelihood of {x} at a place, given the latent code, in nats",
    "place_gaussian": "How unusual the error of the reconstruction of {x} is at a place, among the errors "
    "of training images at the same place, as a squared distance per channel",
}

_AGGREGATE_TEXTS = {
    "mean": "the mean over all places",
    "max": "the highest place",
    "top_k": "the mean over the highest places, whose share is scoring.top_k",
    "contrast": "how far the highest place is above the median place of the same image, in "
    "interquartile ranges",
    "": "scoring.aggregate says how the places become one number",
}
# On a grid of cells the map is smoothed before its highest place is read.
_SMOOTHED = ", after smoothing by one cell"

# Measure of a whole image -> its text. Those of places are named without an aggregate for pixels only.
_IMAGE_TEXTS = {
    "ms_ssim": "One minus the structural similarity of the image and its reconstruction at five scales.",
    "fft": "The mean squared difference between the frequency spectra of the image and its "
    "reconstruction: texture that is missing or added.",
    "elbo": "The negative ELBO{of_x}, in nats: the less likely the model finds {x}, the higher it is.",
    "kl": "The KL divergence of the posterior{of_x} from the prior, in nats.",
    "nll": "The negative log-likelihood of {x}, in nats, estimated from many posterior samples.",
    "bits_per_dim": "The negative log-likelihood of the image in bits per pixel value.",
    "corrected_nll": "The negative log-likelihood minus its value at a perfect reconstruction, in nats.",
    "typicality": "The absolute difference between the negative ELBO of {x} and the mean of training "
    "images, in nats; an image that is too likely gets a high score, too.",
    "input_complexity": "The bits per pixel value under the model minus the bits per pixel value that the "
    "PNG format needs.",
    "mahalanobis": "The distance of {code} from the mean of the training codes, in standard deviations.",
    "knn": "The distance of {code} to its k-th nearest training code; scoring.knn_k is k.",
    "gmm": "The negative log-density of {code} under a mixture of Gaussians that was fitted to the "
    "training codes, in nats.",
    "latent_statistics": "How far the mean, spread and norm of {code} and the width of the posterior are "
    "from those of training images, in standard deviations; the largest distance counts.",
    "likelihood_regret": "How much the ELBO{of_x} grows when the posterior is optimised for this image "
    "alone, in nats.",
    "restoration": "How much the image changes when it is optimised to be likely under the model.",
    "elbo_gradient": "How much the ELBO changes with the pixels of the image, in nats.",
    "kl_gradient": "How much the KL divergence changes with the pixels of the image, in nats.",
    "joint": "The distance of the deepest features, averaged over the image, from those of training "
    "images, in standard deviations; with scoring.symmetry also of left half minus right half.",
}

# Pixels under `scoring.aggregate`; its default is the mean.
_PIXEL_TEXTS = {
    "mse": "The mean squared difference between the image and its reconstruction.",
    "l1": "The mean absolute difference between the image and its reconstruction.",
    "bce": "The binary cross-entropy of the image and its reconstruction, summed over pixels, in nats.",
    "ssim": "One minus the structural similarity of the image and its reconstruction.",
    "cosine": "One minus the cosine of the angle between the channels of a pixel and their reconstruction.",
    "place_nll": "The mean negative log-likelihood of a pixel given the latent code, in nats.",
}

_SURPRISE = (
    "expressed as how surprising it is among validation images, in nats; 0 is the median of normal "
    "images"
)
_COMBINATION_TEXTS = {
    "fusion": f"The mean of the scores in scoring.fusion, each {_SURPRISE}.",
    "fusion_mean": "The mean of the scores in scoring.fusion, each as the mean over all places and "
    f"{_SURPRISE}. It suits diffuse anomalies.",
    "fusion_max": "The mean of the scores in scoring.fusion, each at its highest place and "
    f"{_SURPRISE}. It suits small anomalies.",
    "fusion_contrast": "The mean of the scores in scoring.fusion, each as the contrast of its highest "
    f"place and {_SURPRISE}. It suits defects of a texture.",
    "hedge": "The larger of fusion_mean and fusion_max: an anomaly may be diffuse or small.",
    "harmonic": "How small the harmonic mean of the p-values of fusion_mean, fusion_max and "
    "fusion_contrast is, in nats: one of the three is enough for a high score.",
}

_BASELINE_TEXTS = {
    "pca": "The mean squared difference between the image and its reconstruction by principal components.",
    "nearest_neighbour": "The difference between the image and the nearest training image.",
    "band_energy": "The difference between the texture bands of the image and those of the nearest "
    "training image.",
    "band_pca": "The highest place of the squared difference between the texture bands of the image and "
    "their reconstruction by principal components.",
    "padim_mean": "How unusual the features are at a place, under a Gaussian per place: the mean over all "
    "places.",
    "padim_max": "How unusual the features are at a place, under a Gaussian per place: the highest place.",
    "patchcore_mean": "The distance of the features at a place to the nearest of many training patches: "
    "the mean over all places.",
    "patchcore_max": "The distance of the features at a place to the nearest of many training patches: "
    "the highest place.",
}


def describe_score(name: str) -> str:
    """Returns what a score measures, as a sentence.

    Args:
        name: name of a score of a model, of a combination, or of a baseline that may decide.

    Raises:
        UserError: if there is no such score.
    """
    if is_combination(name):
        return _COMBINATION_TEXTS[name]
    if is_baseline(name):
        return f"{_BASELINE_TEXTS[name]} It needs no trained model."
    return _describe_measure(parse_score_name(name))


def _describe_measure(name: ScoreName) -> str:
    words = _WORDS[name.observation]
    if not name.has_map:
        return _IMAGE_TEXTS[name.measure].format(**words)
    if name.observation == "pixels" and not name.aggregate:
        return _PIXEL_TEXTS[name.measure]
    smoothed = name.observation != "pixels" and name.aggregate in ("max", "contrast")
    aggregate = _AGGREGATE_TEXTS[name.aggregate] + (_SMOOTHED if smoothed else "")
    return f"{_PLACE_TEXTS[name.measure].format(**words)}: {aggregate}."
