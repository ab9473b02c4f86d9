"""How an audit frames images: as a run does, except where a run would refuse or must know more."""

import dataclasses

import ml_collections

from vae_jax.audit.findings import Finding, make_refusal
from vae_jax.data.framing import Framing
from vae_jax.data.intensity import OWN_RANGE
from vae_jax.data.region import Region, load_region
from vae_jax.errors import UserError


def read_framing(data_config: ml_collections.ConfigDict, findings: list[Finding]) -> Framing:
    """Returns the framing; an image has its own range if percentiles of training images are asked for."""
    try:
        framing = Framing.from_config(data_config)
    except UserError as error:
        findings.append(make_refusal("framing", "fields of the framing contradict", error))
        return Framing(data_config.image_size, data_config.channels)
    if framing.intensity.kind == "percentile":
        framing = dataclasses.replace(framing, intensity=OWN_RANGE)
    return framing


def show_whole(framing: Framing) -> Framing:
    """Returns the framing in which images are measured."""
    if framing.covers_image or framing.framing == "auto":
        return dataclasses.replace(framing, framing="stretch", tile_stride=0, tile_size=0)
    return framing


def read_region(data_config: ml_collections.ConfigDict, findings: list[Finding]) -> Region | None:
    """Returns the region of interest; one that a run would refuse is left out and becomes a finding."""
    try:
        return load_region(data_config)
    except UserError as error:
        findings.append(make_refusal("region", "the region of interest cannot be used", error))
        return None
