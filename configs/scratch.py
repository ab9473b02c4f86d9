from vae_jax.config import default
def get_config(variant=""):
    config = default()
    config.name = "scratch"
    config.data.dataset = "folder"
    config.data.image_size = 224
    config.data.channels = 3
    config.data.anomaly_classes = ()
    config.data.val_fraction = 0.12
    config.data.calibration_fraction = 0.15
    config.model.observations = ("features", "bands")
    config.train.epochs = 4
    config.train.min_steps = 800
    config.train.batch_size = 16
    config.train.learning_rate_schedule = "cosine"
    config.train.clip_norm = 1000.0
    config.train.epochs_per_validation = 10
    config.scoring.names = ("features_cosine_mean", "features_cosine_max", "features_place_nll_mean", "features_place_nll_max", "features_place_gaussian_mean","features_place_gaussian_max", "bands_place_nll_mean","bands_place_nll_max", "bands_place_nll_contrast", "features_cosine_contrast", "features_joint", "fusion", "fusion_mean", "fusion_max", "fusion_contrast", "hedge", "harmonic")
    config.scoring.fusion = ("features_cosine", "bands_place_nll", "features_joint")
    return config
