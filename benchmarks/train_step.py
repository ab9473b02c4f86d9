"""Images a second of one training step, ours and PyTorch's eager one, in turns on the same machine.

    python benchmarks/train_step.py --model=kvasir --batch=64 --precision=float32

Needs the extra `bench`. Both sides run the same architecture on uint8 images that are already in memory,
without augmentation: forward, backward, clip by global norm, AdamW. The ratio is the median over the
pairs of turns, ours over PyTorch's. The last line is one JSON object.

Measure on an idle machine only. PyTorch's threads wait for each other after every operation, so other
work on the same cores slows it far more than it slows XLA, and the ratio flatters us.
"""

import models
import versus


def make_ours(model: str, batch: int, precision: str):
    """Returns (step, device): a function that runs one step to its end, and where it runs."""
    import jax

    models.set_up(precision)
    config = models.comparable(model, precision)
    state, train_step, knobs = models.our_training(config, steps_per_epoch=100)
    train_step = jax.jit(train_step, donate_argnums=0)
    images = models.our_batch(models.scrolled(batch, config.data.image_size, config.data.channels))

    def step():
        nonlocal state
        state, metrics = train_step(state, images, knobs)
        jax.block_until_ready((state, metrics))

    return step, jax.devices()[0].device_kind


def make_torch(model: str, batch: int, precision: str):
    """Returns the same for PyTorch: eager, channels_last, autocast where precision is bfloat16."""
    import torch
    from torch.nn import functional
    from torch.nn.utils import clip_grad_norm_

    config = models.comparable(model, precision)
    network, device = models.torch_network(config)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-5)
    pixels = models.torch_pixels(config, batch, device)

    def step():
        x = pixels.float() / 255
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            h = network["encoder"](x)
            mu, logvar = network["mu"](h), network["logvar"](h)
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
            logits = models.torch_decode(network, z, config)
        mu, logvar = mu.float(), logvar.float()
        loss = functional.binary_cross_entropy_with_logits(logits.float(), x, reduction="sum")
        loss = loss + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum()
        optimizer.zero_grad()
        (loss / batch).backward()
        clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step, str(device)


if __name__ == "__main__":
    versus.compare(__doc__, make_ours, make_torch, steps=1, what="in one turn")
