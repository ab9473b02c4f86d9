"""Features of images per second (EfficientNet-Lite0), with this package and with eager PyTorch, in turns.

    python benchmarks/features.py [--size=224] [--batch=16] [--cores=1] [--normalised]

This needs the extras `features` and `bench`. Both sides compute the same features of float32 images in
memory: the network up to its last block, 3x3 average pooling, a 14x14 grid. PyTorch runs in channels_last
with the same folded kernels, or with separate batch normalisation (--normalised), which is how the model is
published and which is slower. The ratio is the median over pairs of turns of our speed over that of
PyTorch. The last line is one JSON object. Measure only on an idle machine.
"""

import json
import math
import os

import models
import turns

_GRID = 14


def make_ours(size: int, batch: int, cores: int, precision: str = "float32"):
    """Returns the work of the features of one batch with this package."""
    os.sched_setaffinity(0, _choose_cores(cores))
    models.set_up_process(precision)
    import jax

    from vae_jax.observation.features import compute_features

    params = jax.device_put(_load_params())
    images = jax.device_put(_draw_images(size, batch))
    compute = jax.jit(compute_features, static_argnums=(2, 3, 4))
    return turns.Work(
        lambda: jax.block_until_ready(compute(params, images, size, _GRID, precision)),
        jax.devices()[0].device_kind,
    )


def make_torch(
    size: int,
    batch: int,
    cores: int,
    normalised: bool,
    precision: str = "float32",
    compiled: bool = False,
):
    """Returns the work of the features of one batch with PyTorch, in channels_last.

    bfloat16 means autocast. With `compiled`, torch.compile compiles the network.
    """
    os.sched_setaffinity(0, _choose_cores(cores))
    import torch
    from torch.nn import functional

    from vae_jax.observation.efficientnet import BLOCKS
    from vae_jax.observation.features import LAYERS

    torch.set_num_threads(cores)
    params, device = _load_params(), models.choose_torch_device()
    images = torch.from_numpy(_draw_images(size, batch)).to(device).permute(0, 3, 1, 2)

    def make_layer(layer, stride=1, depthwise=False):
        kernel = torch.from_numpy(layer["kernel"]).to(device)
        if depthwise:
            kernel = kernel[:, :, None]
        elif kernel.ndim == 2:
            kernel = kernel[None, None]
        kernel = kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        bias, size = torch.from_numpy(layer["bias"]).to(device), kernel.shape[2]
        ones, zeros = torch.ones_like(bias), torch.zeros_like(bias)

        def apply(x):
            excess = [max((math.ceil(n / stride) - 1) * stride + size - n, 0) for n in x.shape[2:]]
            (top, bottom), (left, right) = ((e // 2, e - e // 2) for e in excess)
            if any(excess):
                x = functional.pad(x, (left, right, top, bottom))
            groups = len(kernel) if depthwise else 1
            x = functional.conv2d(x, kernel, None if normalised else bias, stride, groups=groups)
            return functional.batch_norm(x, zeros, ones, ones, bias) if normalised else x

        return apply

    stem = make_layer(params["stem"], 2)
    layers = []
    for index, block in enumerate(BLOCKS):
        group = params[f"block_{index}"]
        expand = make_layer(group["expand"]) if "expand" in group else None
        depthwise = make_layer(group["depthwise"], block.stride, True)
        layers.append((block, expand, depthwise, make_layer(group["project"])))

    def compute(x):
        x = functional.relu6(stem((x * 255 - 127) / 128))
        maps = []
        for index, (block, expand, depthwise, project) in enumerate(layers):
            y = functional.relu6(expand(x)) if expand else x
            y = project(functional.relu6(depthwise(y)))
            x = y + x if block.stride == 1 and block.inputs == block.outputs else y
            if index in LAYERS:
                y = functional.avg_pool2d(x.float(), 3, 1, 1, count_include_pad=False)
                sides = {"size": (_GRID, _GRID), "mode": "bilinear", "align_corners": False}
                down = y.shape[2] % _GRID == 0
                maps.append(
                    functional.adaptive_avg_pool2d(y, _GRID)
                    if down
                    else functional.interpolate(y, **sides)
                )
        return torch.cat(maps, dim=1)

    if compiled:
        compute = torch.compile(compute)

    @torch.inference_mode()
    def run():
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            features = compute(images.contiguous(memory_format=torch.channels_last))
        if device.type == "cuda":
            torch.cuda.synchronize()
        return features

    return turns.Work(run, str(device))


def _load_params():
    """Returns the ImageNet weights, or random ones if they are not installed: both take the same time."""
    from vae_jax.observation.data_package import is_installed
    from vae_jax.observation.weights import load_weights

    return load_weights("").params if is_installed() else _draw_params()


def _draw_params():
    import numpy as np

    from vae_jax.observation.efficientnet import BLOCKS

    rng = np.random.default_rng(0)

    def draw(*shape):
        scale = np.float32(np.prod(shape[:-1])) ** -0.5
        bias = np.zeros(shape[-1], np.float32)
        return {"kernel": scale * rng.standard_normal(shape, np.float32), "bias": bias}

    params = {"stem": draw(3, 3, 3, BLOCKS[0].inputs)}
    for index, block in enumerate(BLOCKS):
        group = {"expand": draw(block.inputs, block.width)} if block.expansion > 1 else {}
        group["depthwise"] = draw(block.kernel_size, block.kernel_size, block.width)
        group["project"] = draw(block.width, block.outputs)
        params[f"block_{index}"] = group
    return params


def _choose_cores(cores: int) -> set[int]:
    return set(sorted(os.sched_getaffinity(0))[:cores])


def _draw_images(size: int, batch: int):
    import numpy as np

    return np.random.default_rng(0).random((batch, size, size, 3), np.float32)


def main() -> None:
    """Measures both sides and prints the results."""
    parser = turns.make_parser(__doc__)
    parser.add_argument("--size", type=int, default=224, help="side of the images, pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--normalised", action="store_true", help="batch normalisation in PyTorch")
    options = parser.parse_args()
    turns.warn_if_unreliable(options.turns)
    setting = (options.size, options.batch, options.cores)
    ours, torch = turns.measure_sides(
        [(make_ours, setting), (make_torch, (*setting, options.normalised))], options.turns
    )
    turns.print_sides({"ours": ours, "PyTorch": torch}, options.batch)
    print(
        json.dumps(
            {
                "size": options.size,
                "batch": options.batch,
                "cores": options.cores,
                "normalised": options.normalised,
                "ours_ms_per_image": round(1e3 * ours.median / options.batch, 2),
                "torch_ms_per_image": round(1e3 * torch.median / options.batch, 2),
                "ratio": round(turns.median_ratio(torch, ours), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
