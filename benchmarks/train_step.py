"""Images per second of a training step, with this package and with eager PyTorch, in turns.

    python benchmarks/train_step.py --model=kvasir --batch=64 --precision=float32 [--all]

With --all it also measures a step within an epoch through the pipeline, the PyTorch step with
torch.compile, and the roof (roof.py), which is the limit that arithmetic and memory set on this device.
This is meant for a GPU.

This needs the extra `bench`. Both sides run the same architecture on uint8 images that are already in
memory (`--model=features`: on float16 features), without augmentation: forward pass, backward pass,
clipping by global norm, AdamW. The ratio is the median over pairs of turns of our speed over that of
PyTorch. The last line is one JSON object.

Measure only on an idle machine. The threads of PyTorch wait for each other after every operation, so
other work on the same cores slows PyTorch much more than XLA, and the ratio becomes too good for us.
"""

import concurrent.futures
import multiprocessing

import models
import pipeline
import roof
import turns
import versus

_EPOCH_STEPS = 32  # steps of the epoch through the pipeline


def make_ours(model: str, batch: int, precision: str, num_steps: int = 1):
    """Returns the work of `num_steps` training steps of this package."""
    import jax

    from vae_jax.training.step import make_train_step

    models.set_up_process(precision)
    config = models.make_comparable_config(model, precision)
    recipe, state, hyperparameters = models.make_our_training(config, steps_per_epoch=100)
    train_step = jax.jit(make_train_step(recipe), donate_argnums=0)
    images = models.make_our_batch(config, batch)

    def run():
        nonlocal state
        for _ in range(num_steps):
            state, metrics = train_step(state, images, hyperparameters)
        jax.block_until_ready((state, metrics))

    return turns.Work(run, jax.devices()[0].device_kind, num_steps)


def make_epoch(model: str, batch: int, precision: str, num_steps: int = _EPOCH_STEPS):
    """Returns the work of one epoch of this package, with the images on the device."""
    return pipeline.make_pipeline(model, batch, num_steps, "device", precision)


def make_torch(model: str, batch: int, precision: str, num_steps: int = 1, compiled: bool = False):
    """Returns the work of `num_steps` training steps in PyTorch, in channels_last.

    bfloat16 means autocast. With `compiled`, torch.compile compiles the computation of the loss.
    """
    import torch
    from torch.nn.utils import clip_grad_norm_

    config = models.make_comparable_config(model, precision)
    network, compute_loss, read_inputs = _make_torch_model(config, batch, precision)
    if compiled:
        compute_loss = torch.compile(compute_loss)
    optimizer = torch.optim.AdamW(
        network.parameters(), config.train.learning_rate, weight_decay=config.train.weight_decay
    )
    device = next(network.parameters()).device

    def run():
        for _ in range(num_steps):
            loss = compute_loss(read_inputs())
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(network.parameters(), config.train.clip_norm)
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return turns.Work(run, str(device), num_steps)


def _make_torch_model(config, batch: int, precision: str):
    """Returns the network, its loss as a function of the inputs, and a function that reads the inputs."""
    import torch
    from torch.nn import functional

    if tuple(config.model.observations) == ("features",):
        import torch_features

        network = torch_features.make_network(config, models.choose_torch_device())
        features = models.make_torch_features(config, batch, network.places.device)
        return (
            network,
            lambda x: torch_features.compute_loss(network, x, precision),
            lambda: features.float(),
        )
    network, device = models.make_torch_network(config)
    pixels = models.make_torch_pixels(config, batch, device)

    def compute_loss(x):
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            h = network["encoder"](x)
            mu, logvar = network["mu"](h), network["logvar"](h)
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
            logits = models.torch_decode(network, z, config)
        mu, logvar = mu.float(), logvar.float()
        loss = functional.binary_cross_entropy_with_logits(logits.float(), x, reduction="sum")
        return (loss + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum()) / batch

    return network, compute_loss, lambda: pixels.float() / 255


def make_torch_compiled(model: str, batch: int, precision: str, num_steps: int = 1):
    """Returns the work of `num_steps` training steps in PyTorch with torch.compile."""
    return make_torch(model, batch, precision, num_steps, compiled=True)


def print_all(options, sides: dict[str, turns.Side]) -> None:
    """Prints the ratios of all sides to each other and to the roof."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
        limit = pool.submit(
            roof.measure_roof, options.model, options.batch, options.precision
        ).result()
    print(
        f"roof: {limit.flops / 1e9:.1f} GFLOP at {limit.peak_flops / 1e12:.2f} TFLOP/s, "
        f"{limit.bytes / 1e9:.2f} GB at {limit.peak_bytes / 1e9:.0f} GB/s: "
        f"{options.batch / limit.seconds:.1f} images/s, bound by {limit.binding}"
    )
    for name in ("ours", "ours, an epoch"):
        print(
            f"{name}: {limit.seconds / sides[name].median:.0%} of the roof, "
            f"{turns.median_ratio(sides['PyTorch'], sides[name]):.2f} of PyTorch, "
            f"{turns.median_ratio(sides['torch.compile'], sides[name]):.2f} of torch.compile"
        )


def main() -> None:
    """Measures and prints one setting."""
    parser = versus.make_parser(__doc__, steps=1, steps_help="steps per turn")
    parser.add_argument(
        "--all", action="store_true", help="also measure an epoch, torch.compile and the roof"
    )
    options = parser.parse_args()
    makes = {"ours": make_ours, "PyTorch": make_torch}
    if options.all:
        makes |= {"ours, an epoch": make_epoch, "torch.compile": make_torch_compiled}
    sides = versus.compare_sides(options, makes)
    if options.all:
        print_all(options, sides)
    versus.print_json(options, sides)


if __name__ == "__main__":
    main()
