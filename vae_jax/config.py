"""Every field of the configuration, with its unit and one comment.

Files in `configs/` start from `default()` and only override. Nothing else in the package invents a
field or a default, so what stands here is all there is to configure.

This module is also what `python -m vae_jax.main` runs without `--config`: the embedded default is
the handwritten digits that scikit-learn carries. It imports neither JAX nor TFDS, so that a mistake
in a field is answered at once.
"""

import difflib
import math
from collections.abc import Sequence

import ml_collections

from vae_jax.errors import UserError

DATASETS = ("digits", "mnist", "fashion_mnist", "kvasir")
CACHES = ("auto", "device", "host")
MODELS = ("vae", "ae")
LIKELIHOODS = (
    "bernoulli", "continuous_bernoulli", "gaussian", "gaussian_learned", "gaussian_optimal", "laplace",
    "discretised_logistic",
)  # fmt: skip
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh")
BETA_SCHEDULES = ("constant", "linear", "cyclical")
LEARNING_RATE_SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16")
SCORES = (
    "mse", "l1", "bce", "ssim", "ms_ssim", "fft", "elbo", "kl", "nll", "bits_per_dim", "corrected_nll",
    "typicality", "input_complexity", "mahalanobis", "knn",
    "gmm", "latent_statistics", "likelihood_regret", "restoration", "elbo_gradient", "kl_gradient",
    "fusion",
)  # fmt: skip
AGGREGATES = ("mean", "max", "top_k")
LEAST_MS_SSIM = 176  # pixels: its window at the coarsest of five scales
THRESHOLD_RULES = ("quantile", "mean_std")
PARALLEL = ("auto", "jit", "pmap", "sharded")


def default() -> ml_collections.ConfigDict:
    """Returns the embedded default: scikit-learn's digits, zero held out as the anomaly."""
    config = ml_collections.ConfigDict()
    config.name = "digits"  # names the default workdir, runs/<name>
    config.seed = 0  # of initialisation, noise, shuffling, splits and bootstrap

    data = config.data = ml_collections.ConfigDict()
    data.dataset = "digits"  # one of DATASETS
    data.dir = ""  # where prepared TFDS data goes; "" is TFDS's own default
    data.manual_dir = ""  # where files were put by hand, in the official layout; "" downloads
    data.anomaly_dataset = ""  # another dataset whose test split is the anomaly; "" for none
    data.anomaly_manual_dir = ""  # its files; "" downloads
    data.image_size = 8  # height and width in pixels that the model sees
    data.channels = 1  # 1 grey, 3 RGB
    data.crop = 1.0  # side of the central square that is kept, as a fraction of the shorter side
    data.normal_classes = ()  # () is every class that is not an anomaly
    data.anomaly_classes = ("0",)  # () is every class that is not normal
    data.val_fraction = 0.08  # of the normals, for early stopping and the plateau rule
    data.calibration_fraction = 0.12  # of the normals, for thresholds and p-values
    data.test_fraction = 0.15  # of the normals; unused where the dataset has an official test split
    data.balanced_test = False  # draw as many test anomalies as there are test normals
    data.skip_corrupt = False  # skip and list unreadable images instead of refusing them
    data.cache = "auto"  # where decoded images wait: device | host | auto (device where they fit)

    augment = config.augment = ml_collections.ConfigDict()
    augment.horizontal_flip = 0.0  # probability
    augment.vertical_flip = 0.0  # probability
    augment.rotation = 0.0  # largest angle, degrees, either way
    augment.brightness = 0.0  # largest change of the factor: 0.1 draws from [0.9, 1.1]
    augment.contrast = 0.0  # likewise, about the image's mean grey
    augment.saturation = 0.0  # likewise, towards grey; colour images only
    augment.hue = 0.0  # largest shift, as a fraction of the colour circle; colour images only

    model = config.model = ml_collections.ConfigDict()
    model.kind = "vae"  # vae | ae (no sampling, no KL)
    model.widths = (32, 64)  # channels after each stride-2 convolution; the length is the depth
    model.kernel_size = 4  # of the convolutions, pixels
    model.hidden_dim = 0  # width of a dense layer on either side of the latent; 0 for none
    model.latent_dim = 16  # Z
    model.activation = "relu"  # one of ACTIVATIONS
    model.likelihood = "gaussian_optimal"  # p(x | z), one of LIKELIHOODS
    model.sigma = 0.1  # standard deviation of gaussian and laplace, in units of [0, 1] images

    objective = config.objective = ml_collections.ConfigDict()
    objective.beta = 1.0  # weight of the KL term
    objective.beta_schedule = "constant"  # constant | linear (warm-up) | cyclical
    objective.beta_warmup = (
        0.0  # epochs from weight 0 to beta; in cyclical the rising part of a cycle
    )
    objective.beta_cycle = 10.0  # epochs of one cycle of the cyclical schedule

    train = config.train = ml_collections.ConfigDict()
    train.epochs = 60  # passes over the training normals
    train.batch_size = 64  # images a step, over all devices
    train.learning_rate = 1e-3  # peak
    train.learning_rate_schedule = "constant"  # constant | cosine (to 0 at the last epoch)
    train.warmup_epochs = 0.0  # epochs of linear rise from 0
    train.weight_decay = 1e-5  # decoupled (AdamW), per step, times the learning rate
    train.clip_norm = 1.0  # largest global norm of the gradient
    train.b1 = 0.9  # Adam
    train.b2 = 0.999  # Adam
    train.plateau_factor = 0.5  # multiplies the learning rate on a plateau, below 1
    train.plateau_patience = 10  # validations without improvement before that; 0 never
    train.early_stopping_patience = 0  # validations without improvement before the end; 0 never
    train.epochs_per_validation = 1  # a validation also writes metrics and may save the best state
    train.epochs_per_checkpoint = 10  # the latest state is saved this often, and at the end
    train.steps_per_call = 64  # steps that run on the device between two looks from the host
    train.precision = (
        "float32"  # float32 | bfloat16 (products in bfloat16, sums and parameters float32)
    )
    train.parallel = "auto"  # jit | pmap | sharded (jit) | auto (pmap on more than one device)

    scoring = config.scoring = ml_collections.ConfigDict()
    # Which of SCORES to compute. These cost about 2 passes of plain reconstruction together; the others
    # up to 300, and gmm a slow fit.
    scoring.names = (
        "mse", "l1", "bce", "ssim", "fft", "elbo", "kl", "typicality", "mahalanobis", "knn",
        "latent_statistics", "fusion",
    )  # fmt: skip
    scoring.decision = ""  # the score behind p_value and anomalous; "" is fusion, else the first
    scoring.batch_size = 256  # images a step, over all devices
    scoring.threshold_rule = "quantile"  # quantile | mean_std, of calibration normals
    scoring.false_alarm_rate = 0.05  # promised share of normals that the quantile rule flags
    scoring.mean_std_k = 2.0  # standard deviations of the mean_std rule
    scoring.importance_samples = 64  # K of nll and what rests on it
    scoring.bootstrap_resamples = 1000  # behind each 95 % interval
    scoring.aggregate = "mean"  # of errors over pixels: mean | max | top_k
    scoring.top_k = 0.01  # share of the pixels, the worst, that top_k averages
    scoring.map_smoothing = 0.0  # standard deviation of the Gaussian over anomaly maps, pixels
    scoring.knn_k = 5  # which nearest training normal the knn score takes the distance to
    scoring.gmm_components = 10  # of the mixture behind the gmm score
    scoring.regret_steps = 100  # of Adam in likelihood_regret
    scoring.regret_rate = 0.05  # its learning rate, in units of the latent space
    scoring.restoration_steps = 50  # of Adam in restoration
    scoring.restoration_rate = 0.01  # its learning rate, in units of [0, 1] images
    scoring.restoration_tv = 1.0  # weight of the total variation of what it changes, nats a unit
    # What fusion is the mean of: three looks at the reconstruction (size of errors, structure, texture),
    # two at the code, one at the likelihood; the last two also find an image that is too simple, for
    # which errors and KL are small. An autoencoder goes without those that need a posterior.
    scoring.fusion = ("mse", "ssim", "fft", "knn", "latent_statistics", "typicality")
    scoring.pca_components = 16  # of the PCA reconstruction baseline
    scoring.noise_std = 0.1  # of the Gaussian noise in the robustness figure, on [0, 1] images

    report = config.report = ml_collections.ConfigDict()
    report.cases = 8  # images in each row of the galleries
    report.samples = 64  # images drawn from the prior
    return config


# ml_collections' flags call this when the file is given as --config.
get_config = default


def resolve(config: ml_collections.ConfigDict) -> None:
    """Brings lists of names as a shell gives them into shape, in place: `3`, `a,b` -> tuples of str."""
    for field in (
        "data.normal_classes", "data.anomaly_classes", "scoring.names", "scoring.fusion",
    ):  # fmt: skip
        group, name = field.split(".")
        parts = [part.strip() for value in config[group][name] for part in str(value).split(",")]
        config[group][name] = tuple(part for part in parts if part)


def validate(config: ml_collections.ConfigDict) -> None:
    """Checks the values of a resolved config.

    Raises:
        UserError: names the wrong value and the valid ones.
    """
    data, model, train, scoring = config.data, config.model, config.train, config.scoring
    _one_of("data.dataset", data.dataset, DATASETS)
    if data.anomaly_dataset:
        _one_of("data.anomaly_dataset", data.anomaly_dataset, DATASETS)
    _one_of("data.cache", data.cache, CACHES)
    _one_of("data.channels", data.channels, (1, 3))
    _one_of("model.kind", model.kind, MODELS)
    _one_of("model.likelihood", model.likelihood, LIKELIHOODS)
    _one_of("model.activation", model.activation, ACTIVATIONS)
    _one_of("objective.beta_schedule", config.objective.beta_schedule, BETA_SCHEDULES)
    _one_of("train.learning_rate_schedule", train.learning_rate_schedule, LEARNING_RATE_SCHEDULES)
    _one_of("train.precision", train.precision, PRECISIONS)
    _one_of("train.parallel", train.parallel, PARALLEL)
    _one_of("scoring.threshold_rule", scoring.threshold_rule, THRESHOLD_RULES)
    for name in scoring.names:
        _one_of("scoring.names", name, SCORES)
    if not scoring.names:
        raise UserError(f"scoring.names is empty; name at least one of {', '.join(SCORES)}")
    if scoring.decision:
        _one_of("scoring.decision", scoring.decision, tuple(scoring.names))
    _one_of("scoring.aggregate", scoring.aggregate, AGGREGATES)
    single = tuple(name for name in SCORES if name != "fusion")
    for name in scoring.fusion:
        _one_of("scoring.fusion", name, single)
    if not scoring.fusion:
        raise UserError(f"scoring.fusion is empty; name at least one of {', '.join(single)}")
    selected = (*scoring.names, *(scoring.fusion if "fusion" in scoring.names else ()))
    if "ms_ssim" in selected and data.image_size < LEAST_MS_SSIM:
        raise UserError(
            f"data.image_size is {data.image_size}; the score ms_ssim needs at least {LEAST_MS_SSIM} "
            "pixels: take it out of scoring.names and scoring.fusion, or take ssim"
        )
    if config.seed >= 2**31:
        raise UserError(f"seed is {config.seed}; it must stay below 2147483648")
    if not config.name or "/" in config.name:
        raise UserError(f"name is {config.name!r}; give a plain folder name, it names the workdir")
    for field, low in _LOWEST.items():
        value = _get(config, field)
        if not (math.isfinite(value) and value >= low):
            raise UserError(f"{field} is {value}; it must be a finite number, at least {low}")
    for field in _POSITIVE:
        value = _get(config, field)
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{field} is {value}; it must be a finite number above 0")
    for field in _UNIT_INTERVAL:
        value = _get(config, field)
        if not 0 <= value <= 1:
            raise UserError(f"{field} is {value}; it must lie in [0, 1]")
    for field in _OPEN_UNIT_INTERVAL:
        value = _get(config, field)
        if not 0 < value < 1:
            raise UserError(f"{field} is {value}; it must lie between 0 and 1, both excluded")
    if data.crop == 0:
        raise UserError("data.crop is 0; it must lie in (0, 1], 1 keeps the whole central square")
    _check_fractions(data)
    _check_model(data.image_size, model)
    overlap = set(data.normal_classes) & set(data.anomaly_classes)
    if overlap and not data.anomaly_dataset:
        raise UserError(
            f"class {sorted(overlap)[0]} is in both data.normal_classes and "
            "data.anomaly_classes; take it out of one of them"
        )


_LOWEST = {
    "seed": 0, "data.image_size": 1, "model.kernel_size": 1, "model.hidden_dim": 0,
    "model.latent_dim": 1, "objective.beta": 0, "objective.beta_warmup": 0, "train.epochs": 1,
    "train.batch_size": 1, "train.warmup_epochs": 0, "train.weight_decay": 0,
    "train.plateau_patience": 0, "train.early_stopping_patience": 0,
    "train.epochs_per_validation": 1, "train.epochs_per_checkpoint": 1, "train.steps_per_call": 1,
    "scoring.batch_size": 1, "scoring.bootstrap_resamples": 100, "scoring.pca_components": 1,
    "scoring.importance_samples": 1,
    "scoring.noise_std": 0, "scoring.map_smoothing": 0, "scoring.knn_k": 1, "scoring.gmm_components": 1,
    "scoring.regret_steps": 1, "scoring.restoration_steps": 1, "scoring.restoration_tv": 0,
    "report.cases": 1, "report.samples": 1, "augment.rotation": 0,
}  # fmt: skip
_POSITIVE = ("model.sigma", "objective.beta_cycle", "train.learning_rate", "train.clip_norm",
             "scoring.mean_std_k", "scoring.regret_rate", "scoring.restoration_rate")  # fmt: skip
_UNIT_INTERVAL = (
    "data.crop", "augment.horizontal_flip", "augment.vertical_flip", "augment.brightness",
    "augment.contrast", "augment.saturation", "augment.hue", "scoring.top_k",
)  # fmt: skip
_OPEN_UNIT_INTERVAL = (
    "data.val_fraction", "data.calibration_fraction", "train.b1", "train.b2",
    "train.plateau_factor", "scoring.false_alarm_rate",
)  # fmt: skip


def _get(config: ml_collections.ConfigDict, field: str):
    for part in field.split("."):
        config = config[part]
    return config


def _one_of(field: str, value, valid: Sequence) -> None:
    if value in valid:
        return
    names = [str(v) for v in valid]
    close = difflib.get_close_matches(str(value), names, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UserError(f"{field} is {value!r}; valid: {', '.join(names)}{hint}")


def _check_fractions(data: ml_collections.ConfigDict) -> None:
    if not 0 <= data.test_fraction < 1:
        raise UserError(f"data.test_fraction is {data.test_fraction}; it must lie in [0, 1)")
    held_out = data.val_fraction + data.calibration_fraction + data.test_fraction
    if held_out >= 1:
        raise UserError(
            f"data.val_fraction + data.calibration_fraction + data.test_fraction is "
            f"{held_out:g}; it must stay below 1, the rest is for training"
        )


def _check_model(image_size: int, model: ml_collections.ConfigDict) -> None:
    if not model.widths or any(not isinstance(w, int) or w < 1 for w in model.widths):
        raise UserError(
            f"model.widths is {tuple(model.widths)}; give one or more whole numbers "
            "above 0, the channels after each stride-2 convolution"
        )
    factor = 2 ** len(model.widths)
    if image_size % factor:
        below, above = image_size // factor * factor, -(-image_size // factor) * factor
        nearest = " or ".join(str(size) for size in (below, above) if size)
        raise UserError(
            f"data.image_size is {image_size}; with {len(model.widths)} stride-2 convolutions "
            f"(model.widths) it must be divisible by {factor}: take {nearest}, or fewer widths"
        )
