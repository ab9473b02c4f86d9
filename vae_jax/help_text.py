"""The text of --help: every mode and every flag, with what it does."""

# Formats of the mode `export`; the first one is the default.
EXPORT_FORMATS = ("stablehlo", "onnx")

# Mode -> what it does, as --help shows it.
MODES = {
    "audit": "look at the images before training: duplicates, shortcuts, borders, masks, roles",
    "train": "fit, then evaluate, then report (the default); resumes a stopped run",
    "evaluate": "score and report again, from the best checkpoint; with --input: labelled new images",
    "predict": "score new images (--input) with a trained run, into a folder (--output)",
    "export": "write a detector and its scores as one file (--output=FILE.zip) for other programs",
    "verify": "show that predictions equal the evaluation of a run, from the same checkpoint",
    "select": "rank the scores of a run without anomalies, by synthetic corruptions of normals",
    "explore": "samples, traversals and maps of the latent space",
    "ablate": "train a grid of configs (ablate.factors) and compare them",
    "compare": "put finished runs (--workdir=A --workdir=B ...) beside each other, into --output",
}

HELP = """\
Train a variational autoencoder on normal images and measure how abnormal new images are.

python -m vae_jax.main [--config=FILE[:VARIANT]] [--workdir=DIR] [--mode=MODE]
                       [--config.GROUP.FIELD=VALUE ...]

modes:
{modes}

flags:
  --config         config file (configs/*.py), with :VARIANT if it has variants; default: the digits
  --workdir        folder of one run; default: runs/<config name>. With --mode=compare: folders of runs,
                   given several times, or a pattern in quotes
  --input          images to predict: a file, a folder, a pattern, @list.txt (one path per line) or -
                   (such lines on standard input); may be given several times. With --mode=evaluate: a
                   folder of labelled new images, one folder per class or test with such folders
  --name           name of the evaluation of labelled new images, whose report goes to
                   evaluations/NAME in the workdir; default: the name of their folder
  --output         folder of the predictions or the comparison, or file of the export
  --format         format of the export: stablehlo (for JAX, the default) or onnx (for ONNX Runtime)
  --artifact       exported file, which --mode=verify compares as well
  --overlays       draw each predicted image with its anomaly map; --maps writes the maps as .npy
  --jax_cache_dir  folder for compiled programs; it makes the second start quicker
  --coordinator, --num_processes, --process_id
                   train, evaluate or predict with N processes: start the same command N times, with
                   --coordinator=HOST:PORT of process 0, --num_processes=N and ids from 0 to N-1
  --distributed    the same, but JAX finds address and numbers: Slurm, Open MPI, Kubernetes, Cloud TPU

vae_jax/config.py lists every field of a config with its unit and its default. The docstring of a
config file states what a run costs and which numbers to expect.
""".format(modes="\n".join(f"  {mode:<16} {text}" for mode, text in MODES.items()))
