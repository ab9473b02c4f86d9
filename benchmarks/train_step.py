"""Images a second of one training step, ours and PyTorch's eager one, in turns on the same machine.

    python benchmarks/train_step.py --model=kvasir --batch=64 --precision=float32

Needs the extra `bench`. Each side lives in a process of its own, so that neither's threads nor memory
touch the other's; the sides take turns, and the ratio is the median over the pairs of turns, ours over
PyTorch's. Both run the same architecture on uint8 images that are already in memory, without
augmentation: forward, backward, clip by global norm, AdamW. The last line is one JSON object.

Measure on an idle machine only. PyTorch's threads wait for each other after every operation, so other
work on the same cores slows it far more than it slows XLA, and the ratio flatters us.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time

# Image size, channels, widths, hidden width, latent dimensions.
MODELS = {
    "kvasir": (96, 3, (32, 64, 128, 256), 0, 128),
    "mnist": (28, 1, (32, 64), 256, 16),
    "chest_xray": (512, 1, (16, 32, 64, 128, 256), 0, 256),
}


def make_ours(model: str, batch: int, precision: str):
    """Returns (step, device): a function that runs one step to its end, and where it runs."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from vae_jax.config import default
    from vae_jax.data.augment import make_augmentation
    from vae_jax.model.objective import Distortion, make_beta_schedule
    from vae_jax.model.vae import build_model
    from vae_jax.training.optimizer import make_learning_rate, make_optimizer, make_plateau
    from vae_jax.training.state import create_state
    from vae_jax.training.step import Batch, Knobs, make_train_step

    config = default()
    config.train.precision = precision
    size, channels, config.model.widths, config.model.hidden_dim, config.model.latent_dim = MODELS[
        model
    ]
    config.data.image_size, config.data.channels = size, channels
    vae = build_model(config)
    rate = make_learning_rate(config.train, steps_per_epoch=100)
    optimizer = make_optimizer(config.train, rate)
    beta = make_beta_schedule(config.objective, steps_per_epoch=100)
    augmentation = make_augmentation(config.augment)
    distortion = Distortion(pixel_weight=1.0, frequency_weight=0.0)
    train_step = jax.jit(
        make_train_step(vae, optimizer, rate, beta, distortion, augmentation), donate_argnums=0
    )
    knobs = Knobs(np.uint32(0), np.float32(1.0))
    state = create_state(vae, optimizer, make_plateau(config.train), seed=0)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, channels), np.uint8)
    images = Batch(
        jnp.asarray(pixels), jnp.arange(batch), jnp.ones(batch), jnp.zeros(batch, jnp.int32)
    )

    def step():
        nonlocal state
        state, metrics = train_step(state, images, knobs)
        jax.block_until_ready((state, metrics))

    return step, jax.devices()[0].device_kind


def make_torch(model: str, batch: int, precision: str):
    """Returns the same for PyTorch: eager, channels_last, autocast where precision is bfloat16."""
    import torch
    from torch import nn
    from torch.nn import functional

    size, channels, widths, hidden, latent = MODELS[model]
    side = size // 2 ** len(widths)
    flat = side * side * widths[-1]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder, decoder, before = [], [], channels
    for width in widths:
        encoder += [nn.Conv2d(before, width, 4, 2, 1), nn.ReLU()]
        before = width
    for width in (*reversed(widths[:-1]), channels):
        decoder += [nn.ConvTranspose2d(before, width, 4, 2, 1), nn.ReLU()]
        before = width
    dense = [nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU()] if hidden else [nn.Flatten()]
    undense = [nn.Linear(latent, hidden), nn.ReLU()] if hidden else []
    net = nn.ModuleDict({
        "encoder": nn.Sequential(*encoder, *dense),
        "mu": nn.Linear(hidden or flat, latent),
        "logvar": nn.Linear(hidden or flat, latent),
        "unflatten": nn.Sequential(*undense, nn.Linear(hidden or latent, flat), nn.ReLU()),
        "decoder": nn.Sequential(*decoder[:-1]),
    }).to(device, memory_format=torch.channels_last)  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-5)
    pixels = torch.randint(0, 256, (batch, channels, size, size), dtype=torch.uint8)
    pixels = pixels.to(device).contiguous(memory_format=torch.channels_last)

    def step():
        x = pixels.float() / 255
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            h = net["encoder"](x)
            mu, logvar = net["mu"](h), net["logvar"](h)
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
            h = net["unflatten"](z).view(-1, widths[-1], side, side)
            raw = net["decoder"](h.contiguous(memory_format=torch.channels_last))
        mu, logvar = mu.float(), logvar.float()
        loss = functional.binary_cross_entropy_with_logits(raw.float(), x, reduction="sum")
        loss = loss + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum()
        optimizer.zero_grad()
        (loss / batch).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step, str(device)


def serve(pipe, make, arguments) -> None:
    """Runs in a side's own process: warms up, then times as many steps as it is asked for."""
    step, device = make(*arguments)
    for _ in range(3):
        step()
    pipe.send(device)
    while steps := pipe.recv():
        start = time.perf_counter()
        for _ in range(steps):
            step()
        pipe.send((time.perf_counter() - start) / steps)


def main() -> None:
    """Measures one setting and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="kvasir")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--turns", type=int, default=9, help="of each side, at least 7")
    parser.add_argument("--steps", type=int, default=1, help="in one turn")
    options = parser.parse_args()
    if options.turns < 7:
        parser.error(f"--turns is {options.turns}; a median wants at least 7")

    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"warning: the machine is busy (load {load:.1f}); the ratio will flatter us")
    spawn = multiprocessing.get_context("spawn")
    pipes, devices = [], []
    for make in (make_ours, make_torch):
        here, there = spawn.Pipe()
        arguments = (options.model, options.batch, options.precision)
        spawn.Process(target=serve, args=(there, make, arguments), daemon=True).start()
        there.close()  # so that a side that dies ends the wait for it
        devices.append(here.recv())
        pipes.append(here)
    seconds = ([], [])
    for _ in range(options.turns):
        for pipe, times in zip(pipes, seconds, strict=True):
            pipe.send(options.steps)
            times.append(pipe.recv())
    for pipe in pipes:
        pipe.send(0)

    ours, torch = (options.batch / statistics.median(times) for times in seconds)
    ratio = statistics.median(t / o for o, t in zip(*seconds, strict=True))
    print(f"{'':8} {'images/s':>10} {'fastest ms':>11} {'slowest ms':>11}")
    for name, rate, times in (("ours", ours, seconds[0]), ("PyTorch", torch, seconds[1])):
        print(f"{name:8} {rate:10.1f} {1e3 * min(times):11.1f} {1e3 * max(times):11.1f}")
    print(
        json.dumps(
            {
                "model": options.model,
                "batch": options.batch,
                "precision": options.precision,
                "device": devices[0],
                "ours_images_per_second": round(ours, 1),
                "torch_images_per_second": round(torch, 1),
                "ratio": round(ratio, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
