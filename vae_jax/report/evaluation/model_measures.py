"""What the model itself achieves, apart from detection: likelihood, latent dimensions, generated images."""

from typing import Any

from vae_jax.model.distributions import ACTIVE_VARIANCE, INFORMATIVE_KL
from vae_jax.report.numerals import format_quantity, format_rate

# A measure: its name, its value with its unit, and how to read it.
Measure = tuple[str, str, str]


def list_model_measures(results: dict[str, Any]) -> list[Measure]:
    """Returns the measures of the sections `likelihood`, `latent` and `generation`, as far as they exist.

    Args:
        results: sections of `results.json`.
    """
    return [
        *_list_likelihood(results.get("likelihood", {})),
        *_list_latent(results.get("latent", {})),
        *_list_generation(results.get("generation", {})),
    ]


def _list_likelihood(likelihood: dict[str, Any]) -> list[Measure]:
    meaning = likelihood.get("not_a_likelihood", "")
    measures = []
    if "elbo_nats" in likelihood:
        note = "mean over normal test images; a lower bound of the log-likelihood"
        measures.append(("ELBO", _format_nats(likelihood["elbo_nats"]), note))
    if "nll_nats" in likelihood:
        note = f"by importance sampling with {likelihood['importance_samples']:,} samples; lower is better"
        measures.append(("negative log-likelihood", _format_nats(likelihood["nll_nats"]), note))
    if "bits_per_dim" in likelihood:
        note = "the negative log-likelihood in bits, divided by the number of values of an image"
        value = format_quantity(likelihood["bits_per_dim"])
        measures.append(("bits per dimension", value, note))
    if measures and meaning:
        name, value, note = measures[-1]
        measures[-1] = name, value, f"{note}. Attention: {meaning}"
    return measures


def _list_latent(latent: dict[str, Any]) -> list[Measure]:
    if "kl_per_dimension" not in latent:
        return []
    kl = latent["kl_per_dimension"]
    branches = latent.get("branches") or {
        "": {
            "dimensions": len(kl),
            "active_units": latent.get("active_units"),
            "informative_units": latent.get("informative_units"),
            "kl_nats": sum(kl),
        }
    }
    measures = []
    for name, branch in branches.items():
        of_branch = f" of {name}" if name else ""
        total, active = branch["dimensions"], branch["active_units"]
        informative = branch["informative_units"]
        measures.append(
            (
                f"KL{of_branch}",
                _format_nats(branch["kl_nats"]),
                "what the codes of calibration normals tell about their images, over all dimensions",
            )
        )
        if informative is not None:
            note = (
                f"those with a KL above {INFORMATIVE_KL:g} nats; {active:,} are active, that is, "
                f"their posterior mean has a variance above {ACTIVE_VARIANCE:g}"
            )
            value = f"{informative:,} of {total:,}"
            measures.append((f"latent dimensions in use{of_branch}", value, note))
    return measures


def _list_generation(generation: dict[str, Any]) -> list[Measure]:
    measures = []
    if "frechet_distance" in generation:
        note = (
            f"{generation['generated']}, {generation['images']:,} images; lower is better; features of "
            f"{generation['features']}"
        )
        value = format_quantity(generation["frechet_distance"])
        measures.append(("Fréchet distance of samples", value, note))
    if "suspicious" in (nearest := generation.get("nearest_training_image", {})):
        note = (
            "share that is nearer to a training image than 99 % of the reconstructions; about 0.01 is "
            "expected by chance"
        )
        value = format_rate(nearest["suspicious"])
        measures.append(("samples that resemble a training image", value, note))
    return measures


def _format_nats(value: float) -> str:
    return f"{format_quantity(value)} nats per image"
