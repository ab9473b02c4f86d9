"""Every field of the configuration, with its unit and one comment.

Files in `configs/` start from `default()` and only override. Nothing else in the package invents a
field or a default, so what stands here is all there is to configure; `validate.py` beside it holds
the names that a field may take, and refuses the rest.

This module is also what `python -m vae_jax.main` runs without `--config`: the embedded default is
the handwritten digits that scikit-learn carries. It imports neither JAX nor TFDS, so that a mistake
in a field is answered at once.
"""

import ml_collections


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
    data.tile_stride = 0  # cuts a wide image into squares this many stored pixels apart; 0 crops it
    data.max_saturated = 1.0  # share of near-white pixels above which an image or tile is left out
    data.normalise = "none"  # none | material (each fabric to the same mean and contrast)
    data.roi = ""  # region that counts: "" all | ellipse | dataset (its roi.png) | path of a PNG
    # () is every class that is not an anomaly; of one's own images those called good, normal or ok
    data.normal_classes = ()
    data.anomaly_classes = ("0",)  # () is every class that is not normal
    data.val_fraction = 0.08  # of the normals, for early stopping and the plateau rule
    data.calibration_fraction = 0.12  # of the normals, for thresholds and p-values
    data.test_fraction = 0.15  # of the normals; unused where the dataset has an official test split
    data.balanced_test = False  # draw as many test anomalies as there are test normals
    data.skip_corrupt = False  # skip and list unreadable images instead of refusing them
    data.cache = "auto"  # where images wait: device | host | none (on disk) | auto (where they fit)

    augment = config.augment = ml_collections.ConfigDict()
    augment.strength = 1.0  # multiplies all below; 0 switches augmentation off
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
    model.num_classes = 0  # conditional on the class, one-hot, of so many; 0 is not conditional
    model.likelihood = "gaussian_optimal"  # p(x | z), one of LIKELIHOODS
    model.sigma = 0.1  # standard deviation of gaussian and laplace, in units of [0, 1] images

    objective = config.objective = ml_collections.ConfigDict()
    objective.beta = 1.0  # weight of the KL term
    objective.pixel_weight = 1.0  # weight of -log p(x | z)
    objective.frequency_weight = 0.0  # weight of the squared difference of magnitude spectra
    objective.beta_schedule = "constant"  # constant | linear (warm-up) | cyclical
    objective.beta_warmup = (
        0.0  # epochs from weight 0 to beta; in cyclical the rising part of a cycle
    )
    objective.beta_cycle = 10.0  # epochs of one cycle of the cyclical schedule

    train = config.train = ml_collections.ConfigDict()
    train.epochs = 60  # passes over the training normals
    train.batch_size = 64  # images a step, over all devices
    train.accumulate = 1  # parts that a batch is computed in, one after the other, to save memory
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
    train.epochs_per_frame = (
        0  # of the films of the latent map and of reconstructions; 0 makes none
    )
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
    scoring.condition = "marginal"  # conditional models: marginal over classes | given
    scoring.batch_size = 256  # images a step, over all devices
    scoring.threshold_rule = "quantile"  # quantile | mean_std, of calibration normals
    scoring.false_alarm_rate = 0.05  # promised share of normals that the quantile rule flags
    scoring.false_discovery = False  # decide by Benjamini-Hochberg over all test images together
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

    explore = config.explore = ml_collections.ConfigDict()
    explore.samples = 64  # images drawn for each gallery
    explore.mixture_components = 10  # of the Gaussian mixture over the codes
    explore.steps = 11  # images of a traversal or an interpolation
    explore.map_images = 2000  # images in the maps of the latent space
    explore.generated = 2048  # images behind Frechet distance and Inception Score
    explore.inception = ""  # local file of Inception-v3 weights; "" takes a classifier's features
    explore.classifier_epochs = 5  # of that classifier, on the dataset's own labels

    ablate = config.ablate = ml_collections.ConfigDict()
    ablate.factors = ()  # as "model.latent_dim=64,128,256"; the first level is the base
    ablate.design = "one_at_a_time"  # one_at_a_time | full (every combination)
    ablate.seeds = (0, 1, 2)  # each cell is trained once for each
    return config


# ml_collections' flags call this when the file is given as --config.
get_config = default
