"""Every field of the configuration, with its unit and a comment.

Files in `configs/` start from `default()` and only override fields. No other code adds a field or a
default value, so this file is complete. `validate.py` beside it lists the names that a field may hold
(DATASETS, LIKELIHOODS, SCORES and so on) and refuses all others.

`python -m vae_jax.main` without `--config` runs this module: the embedded default, the handwritten
digits that scikit-learn carries. The module imports neither JAX nor TFDS, so that a mistake in a field
is reported at once.
"""

import ml_collections


def default() -> ml_collections.ConfigDict:
    """Returns the embedded default: scikit-learn's digits, with zero as the anomaly."""
    config = ml_collections.ConfigDict()
    config.name = "digits"  # name of the default workdir, runs/<name>
    config.seed = 0  # seed of initialisation, noise, shuffling, splits and resamples

    data = config.data = ml_collections.ConfigDict()
    data.dataset = "digits"  # name in DATASETS
    data.dir = ""  # folder for prepared TFDS data; "" is TFDS's own default
    data.manual_dir = (
        ""  # folder with files that you put there, in the official layout; "" downloads
    )
    data.anomaly_dataset = ""  # a second dataset whose test split is the anomaly; "" for none
    data.anomaly_manual_dir = ""  # folder with the files of anomaly_dataset; "" downloads them
    data.image_size = 8  # height and width of the images that the model receives, pixels
    data.channels = 1  # 1 grey, 3 RGB
    # How an image that is not square becomes one: crop (its central square) | stretch (the whole image,
    # squeezed) | pad (the whole image with its aspect ratio, on black, which counts as normal) | tiles
    # (overlapping squares that cover the whole image; its score is that of its most unusual tile) | auto
    # (tiles if the images are not square or much larger than image_size, else stretch).
    data.framing = "crop"
    # Side of the central square to use, as a fraction of the image's shorter side; with other framings,
    # both sides of the central part to use, as a fraction of those of the image.
    data.crop = 1.0
    # With the framing tiles: side of a tile in stored pixels, 0 is image_size; smaller images are enlarged.
    data.tile_size = 0
    # With tiles: stored pixels from one tile to the next, 0 is half a tile. With crop: cuts a wide image
    # into squares this many stored pixels apart, which are judged one by one; 0 crops it.
    data.tile_stride = 0
    data.max_saturated = (
        1.0  # images and tiles with a larger share of near-white pixels are left out
    )
    # How stored values become grey levels, equally for all images: full (0 to the largest value of the
    # type) | window:LOW,HIGH (stored values) | percentile:LOW,HIGH (percent, of the training normals).
    # Values of medical files are rescaled, for example Hounsfield units; full is the window of the file.
    data.intensity = "full"
    # What shines through transparent pixels: black | white. Black is also what `pad` adds, and what is
    # outside a region of interest.
    data.background = "black"
    # Black and white images, drawn from the greys, so that the likelihood bernoulli is one: "" none |
    # static (each image is drawn once) | dynamic (in training, each image is drawn anew in every step).
    data.binarise = ""
    data.normalise = "none"  # none | material (gives each fabric the same mean grey and contrast)
    data.roi = ""  # pixels that count: "" all | ellipse | dataset (its roi.png) | path of a PNG
    # () selects every class that is not an anomaly; in a folder of your own: good, normal and ok.
    data.normal_classes = ()
    data.anomaly_classes = ("0",)  # () selects every class that is not normal
    data.val_fraction = 0.08  # share of the normals for early stopping and the plateau rule
    data.calibration_fraction = 0.12  # share of the normals for thresholds and p-values
    data.test_fraction = (
        0.15  # share of the normals for testing; unused with an official test split
    )
    # Puts normal images that nearly agree (frames of a video, an object in several lights) into one group.
    data.group_near_duplicates = False
    # Trains although images are, with equal pixels, both in test and in train, val or calibration.
    data.allow_duplicates = False
    data.balanced_test = False  # test on as many anomalies as normals, drawn at random
    # Stored values of a mask that are abnormal: above:N | below:N | auto (above 0; aitex: above half).
    data.mask_values = "auto"
    # Images that look like masks, but are not named as masks, in a folder of your own: refuse | images
    # (they are images, which the model sees).
    data.mask_like_images = "refuse"
    data.max_pixels = 100_000_000  # images with more pixels, width times height, are refused
    data.skip_corrupt = False  # skip and list unreadable images instead of refusing the dataset
    # Where images are kept: device | host | none (on disk) | auto (the fastest in which they fit).
    data.cache = "auto"

    augment = config.augment = ml_collections.ConfigDict()
    augment.strength = 1.0  # factor for every field below; 0 switches augmentation off
    augment.horizontal_flip = 0.0  # probability of a left-right flip
    augment.vertical_flip = 0.0  # probability of an up-down flip
    augment.rotation = 0.0  # largest angle in either direction, degrees
    augment.brightness = 0.0  # largest change of the brightness factor: 0.1 draws from [0.9, 1.1]
    augment.contrast = 0.0  # largest change of the contrast factor about the image's mean grey
    augment.saturation = 0.0  # largest change of the saturation factor; colour images only
    # Largest shift of hue, as a fraction of the colour circle; colour images only.
    augment.hue = 0.0

    model = config.model = ml_collections.ConfigDict()
    # What the model explains, one branch for each name: pixels | bands (energies at several scales) |
    # features (of a network that was trained on ImageNet; they need the extra `features`).
    model.observations = ("pixels",)
    # vae | ae (an autoencoder: no sampling, no KL) | linear (a VAE without hidden layers, fitted in closed
    # form: probabilistic PCA).
    model.kind = "vae"
    model.widths = (32, 64)  # channels after each stride-2 convolution; the length is the depth
    model.kernel_size = 4  # height and width of the convolution kernels, pixels
    model.hidden_dim = 0  # width of a dense layer before and after the latent; 0 for none
    model.latent_dim = 16  # dimensions of the latent, Z
    model.activation = "relu"  # name in ACTIVATIONS
    # Number of classes that a conditional model takes as one-hot input; 0 is unconditional.
    model.num_classes = 0
    model.likelihood = "gaussian_optimal"  # p(x | z), name in LIKELIHOODS
    model.sigma = 0.1  # standard deviation of gaussian and laplace, in units of [0, 1] images
    # The fields below belong to the branches `features` and `bands`; pixels use the ones above.

    # Shape of the latent: vector | spatial (a vector in each cell) | auto (spatial for features, vector
    # for bands).
    model.latent = "auto"
    model.feature_size = 224  # height and width of the image that the network receives, pixels
    model.grid = 14  # height and width of the grid of features, cells
    model.feature_channels = 256  # channels that the 472 features are projected to; 472 keeps all
    model.feature_weights = ""  # .npz file with weights of your own; "" takes those of the extra
    # Augmented copies of each training image that the model trains on, beside the image itself.
    model.augmented_copies = 0
    model.feature_widths = (128,)  # channels of the hidden layers of the branch `features`
    # Its latent dimensions: for each cell of the latent (spatial), or in all (vector, linear).
    model.feature_latent_dim = 16
    model.band_size = 128  # height and width of the image whose bands are computed, pixels
    model.band_widths = (64,)  # channels after each stride-2 convolution of the branch `bands`
    model.band_latent_dim = 32  # its latent dimensions

    objective = config.objective = ml_collections.ConfigDict()
    objective.beta = 1.0  # weight of the KL term
    objective.pixel_weight = 1.0  # weight of -log p(x | z)
    objective.frequency_weight = 0.0  # weight of the squared difference of the magnitude spectra
    objective.beta_schedule = "constant"  # constant | linear (warm-up) | cyclical
    # Epochs in which the weight rises from 0 to beta: once (linear), or in every cycle (cyclical).
    objective.beta_warmup = 0.0
    objective.beta_cycle = 10.0  # epochs of one cycle of the cyclical schedule

    train = config.train = ml_collections.ConfigDict()
    train.epochs = 60  # passes over the training normals
    train.min_steps = 0  # with few images, more passes are made until there are this many steps
    train.batch_size = 64  # images per step, over all devices
    train.accumulate = 1  # parts of a batch that are computed one after the other, to save memory
    train.learning_rate = 1e-3  # peak of the learning rate
    train.learning_rate_schedule = "constant"  # constant | cosine (falls to 0 at the last epoch)
    train.warmup_epochs = 0.0  # epochs in which the learning rate rises linearly from 0
    train.weight_decay = 1e-5  # decoupled weight decay (AdamW): per step, times the learning rate
    train.clip_norm = 1.0  # largest global norm of the gradient
    train.b1 = 0.9  # Adam's decay rate of the first moment
    train.b2 = 0.999  # Adam's decay rate of the second moment
    train.plateau_factor = 0.5  # factor for the learning rate on a plateau, below 1
    train.plateau_patience = 10  # validations without improvement until that factor; 0: never
    train.early_stopping_patience = (
        0  # validations without improvement until the run ends; 0: never
    )
    train.epochs_per_validation = 1  # a validation also writes metrics and may save the best state
    train.epochs_per_checkpoint = (
        10  # epochs between saves of the latest state; the last is saved too
    )
    train.epochs_per_frame = 0  # epochs between frames of the training films; 0: no films
    # Where a loss, a gradient or a parameter is not finite: stop | rollback (goes back to the last
    # checkpoint and halves the learning rate; the third time in a row it stops).
    train.on_nan = "stop"
    train.steps_per_call = 64  # steps that run on the device before control returns to the host
    # float32 | bfloat16 (products in bfloat16; sums and parameters in float32)
    train.precision = "float32"
    train.parallel = "auto"  # jit | pmap | sharded (jit) | auto (pmap on more than one device)

    scoring = config.scoring = ml_collections.ConfigDict()
    # The scores to compute, names in SCORES. These cost about as much as two reconstructions of each image;
    # one of the others costs up to 300, and gmm needs a slow fit.
    scoring.names = (
        "mse", "l1", "bce", "ssim", "fft", "elbo", "kl", "typicality", "mahalanobis", "knn",
        "latent_statistics", "fusion",
    )  # fmt: skip
    # The score behind the columns p_value and anomalous, or a baseline. "" is fusion, or hedge without
    # fusion, or the first name without both.
    scoring.decision = ""
    # How a conditional model is scored: marginal (over all classes) | given (the class of the image).
    scoring.condition = "marginal"
    # Reconstructions from this many posterior samples, whose errors are averaged; 0 takes one from the
    # posterior mean. With -1 it is 8 where a sample reconstructs validation normals better than the mean.
    scoring.samples = -1
    # Whether normal images are a texture, whose light and structure differ from piece to piece. Then an
    # image is compared with itself: `fusion_contrast` decides unless scoring.decision names another score.
    scoring.texture = False
    scoring.symmetry = False  # whether normal images are left-right symmetric; `joint` uses it
    scoring.batch_size = 256  # images per step, over all devices
    scoring.threshold_rule = "quantile"  # quantile | mean_std, of the scores of calibration normals
    scoring.false_alarm_rate = 0.05  # promised share of normals above the threshold of quantile
    scoring.false_discovery = False  # decide by Benjamini-Hochberg over all test images together
    scoring.mean_std_k = 2.0  # standard deviations between mean and threshold of mean_std
    scoring.importance_samples = 64  # samples K of nll and of the scores that are computed from it
    scoring.bootstrap_resamples = 200  # resamples for the 95 % intervals of pixel metrics
    scoring.aggregate = "mean"  # how the errors of the pixels become one number: mean | max | top_k
    scoring.top_k = 0.01  # share of the pixels, those with the largest errors, that top_k averages
    scoring.map_smoothing = 0.0  # standard deviation of the Gaussian filter on anomaly maps, pixels
    scoring.knn_k = 5  # k of knn, the distance to the k-th nearest training normal
    scoring.gmm_components = 10  # components of the Gaussian mixture of the gmm score
    scoring.regret_steps = 100  # Adam steps of likelihood_regret
    scoring.regret_rate = 0.05  # learning rate of likelihood_regret, in units of the latent space
    scoring.restoration_steps = 50  # Adam steps of restoration
    scoring.restoration_rate = 0.01  # learning rate of restoration, in units of [0, 1] images
    # Weight of the total variation of the change that restoration makes, nats per unit of [0, 1] images.
    scoring.restoration_tv = 1.0
    # The scores that fusion averages: three compare image and reconstruction (size of errors, structure,
    # texture), two use the code, one the likelihood. The last two also detect an image that is too simple,
    # whose errors and KL are small. An autoencoder leaves out those that need a posterior.
    scoring.fusion = ("mse", "ssim", "fft", "knn", "latent_statistics", "typicality")
    scoring.pca_components = 16  # components of the baseline that reconstructs by PCA
    scoring.noise_std = (
        0.1  # standard deviation of the noise in the robustness figure, [0, 1] images
    )

    report = config.report = ml_collections.ConfigDict()
    report.cases = 8  # images in each row of the galleries
    report.samples = 64  # images drawn from the prior

    explore = config.explore = ml_collections.ConfigDict()
    explore.samples = 64  # images drawn for each gallery
    explore.mixture_components = 10  # components of the Gaussian mixture fitted to the codes
    explore.steps = 11  # images in a traversal or an interpolation
    explore.map_images = 2000  # images in the maps of the latent space
    explore.generated = 2048  # images drawn for the Frechet distance and the Inception Score
    # Path of a file with Inception-v3 weights; "" takes the features of a classifier trained for this.
    explore.inception = ""
    explore.classifier_epochs = 5  # epochs of that classifier, trained on the dataset's own labels

    ablate = config.ablate = ml_collections.ConfigDict()
    ablate.factors = ()  # for example ("model.latent_dim=64,128,256",); the first level is the base
    ablate.design = "one_at_a_time"  # one_at_a_time | full (every combination of levels)
    ablate.seeds = (0, 1, 2)  # every cell of the grid is trained once with each seed
    return config


def use_observations(
    config: ml_collections.ConfigDict,
    *observations: str,
    aggregates: tuple[str, ...] = ("mean", "max"),
) -> None:
    """Sets the fields that a model of features or bands needs, in place.

    The settings come from comparisons on several datasets (docs/experiments.md). `scoring.fusion` names
    scores that make different errors: how well the model explains features (cosine), how unusual its
    residuals are at each place, how well it explains bands, and how unusual the whole image is (joint).

    Args:
        config: config to change.
        observations: "features", "bands" or both.
        aggregates: how the values of all places become one number, one score for each.
    """
    config.model.observations = observations
    config.objective.beta_schedule = "linear"
    config.objective.frequency_weight = 0.0
    # With few images, `train.min_steps` makes all schedules longer.
    config.train.epochs = 1
    config.train.min_steps = 800
    config.objective.beta_warmup = 0.3
    config.train.batch_size = 16
    config.train.learning_rate = 1e-3
    config.train.learning_rate_schedule = "cosine"
    config.train.clip_norm = 1000.0
    config.train.epochs_per_validation = 10
    config.train.epochs_per_checkpoint = 10
    maps = {
        "features": ("features_cosine", "features_place_nll", "features_place_gaussian"),
        "bands": ("bands_place_nll",),
    }
    names = [
        f"{name}_{aggregate}"
        for observation in observations
        for name in maps[observation]
        for aggregate in aggregates
    ]
    members = {
        "features": ("features_cosine", "features_place_gaussian", "features_joint"),
        "bands": ("bands_place_nll",),
    }
    joint = ("features_joint",) if "features" in observations else ()
    config.scoring.names = (
        *names, *joint, "fusion_mean", "fusion_max", "fusion_contrast", "hedge", "harmonic",
    )  # fmt: skip
    config.scoring.fusion = tuple(m for name in observations for m in members[name])


# ml_collections calls this function when a file is given as --config.
get_config = default
