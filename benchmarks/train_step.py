"""Images a second of one training step, ours and PyTorch's eager one, in turns on the same machine.

    python benchmarks/train_step.py --model=kvasir --batch=64 --precision=float32 [--all]

With --all, as on a GPU, also a step within a whole epoch through the pipeline, PyTorch's step under
torch.compile, and the roof: what arithmetic and memory traffic of the step allow on this device.

Needs the extra `bench`. Both sides run the same architecture on uint8 images that are already in memory,
without augmentation: forward, backward, clip by global norm, AdamW. The ratio is the median over the
pairs of turns, ours over PyTorch's. The last line is one JSON object.

Measure on an idle machine only. PyTorch's threads wait for each other after every operation, so other
work on the same cores slows it far more than it slows XLA, and the ratio flatters us.
"""

import concurrent.futures
import multiprocessing

import models
import pipeline
import roof
import turns
import versus

_EPOCH = 32  # steps of the epoch through the pipeline


def make_ours(model: str, batch: int, precision: str):
    """Returns the work of one training step of ours."""
    import jax

    from vae_jax.training.step import make_train_step

    models.set_up(precision)
    config = models.comparable(model, precision)
    recipe, state, hyperparameters = models.our_training(config, steps_per_epoch=100)
    train_step = jax.jit(make_train_step(recipe), donate_argnums=0)
    images = models.our_batch(models.scrolled(batch, config.data.image_size, config.data.channels))

    def step():
        nonlocal state
        state, metrics = train_step(state, images, hyperparameters)
        jax.block_until_ready((state, metrics))

    return turns.Work(step, jax.devices()[0].device_kind)


def make_epoch(model: str, batch: int, precision: str):
    """Returns the same for an epoch of ours, images and order on the device."""
    return pipeline.make_pipeline(model, batch, _EPOCH, "device", precision)


def make_torch(model: str, batch: int, precision: str, compiled: bool = False):
    """Returns the same for PyTorch: channels_last, autocast where precision is bfloat16; eager or not."""
    import torch
    from torch.nn import functional
    from torch.nn.utils import clip_grad_norm_

    config = models.comparable(model, precision)
    network, device = models.torch_network(config)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-5)
    pixels = models.torch_pixels(config, batch, device)

    def loss_of(x):
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            h = network["encoder"](x)
            mu, logvar = network["mu"](h), network["logvar"](h)
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
            logits = models.torch_decode(network, z, config)
        mu, logvar = mu.float(), logvar.float()
        loss = functional.binary_cross_entropy_with_logits(logits.float(), x, reduction="sum")
        return (loss + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum()) / batch

    if compiled:
        loss_of = torch.compile(loss_of)

    def step():
        loss = loss_of(pixels.float() / 255)
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return turns.Work(step, str(device))


def make_torch_compiled(model: str, batch: int, precision: str):
    """Returns the same for PyTorch under torch.compile."""
    return make_torch(model, batch, precision, compiled=True)


def show_all(options, sides: dict[str, turns.Side]) -> None:
    """Prints how the sides stand to each other and to the roof."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
        found = pool.submit(
            roof.of_training, options.model, options.batch, options.precision
        ).result()
    print(
        f"roof: {found.flops / 1e9:.1f} GFLOP at {found.peak_flops / 1e12:.2f} TFLOP/s, "
        f"{found.bytes / 1e9:.2f} GB at {found.peak_bytes / 1e9:.0f} GB/s: "
        f"{options.batch / found.seconds:.1f} images/s, bound by {found.binding}"
    )
    for name in ("ours", "ours, an epoch"):
        print(
            f"{name}: {found.seconds / sides[name].median:.0%} of the roof, "
            f"{turns.ratio(sides['PyTorch'], sides[name]):.2f} of PyTorch, "
            f"{turns.ratio(sides['torch.compile'], sides[name]):.2f} of torch.compile"
        )


def main() -> None:
    """Measures one setting and prints it."""
    parser = versus.flags(__doc__, steps=1, what="in one turn")
    parser.add_argument("--all", action="store_true", help="epoch, torch.compile and roof as well")
    options = parser.parse_args()
    makes = {"ours": make_ours, "PyTorch": make_torch}
    if options.all:
        makes |= {"ours, an epoch": make_epoch, "torch.compile": make_torch_compiled}
    sides = versus.compare(options, makes)
    if options.all:
        show_all(options, sides)
    versus.conclude(options, sides)


if __name__ == "__main__":
    main()
