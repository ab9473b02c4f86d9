import pathlib
import subprocess
import sys

import pytest

from vae_jax import command_line
from vae_jax import workdir as workdir_lib
from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.help_text import MODES
from vae_jax.runtime.cluster import Cluster
from vae_jax.workdir_claim import claim_workdir

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = sorted(path.name for path in (ROOT / "configs").glob("*.py"))

# ml_collections loads config files through a function of importlib that Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")


def parse(*args):
    return command_line.parse_command(["main", *args])


def refusal(*args):
    with pytest.raises(UserError) as error:
        parse(*args)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_flags_the_embedded_default_runs():
    command = parse()
    assert workdir_lib.flatten_config(command.config) == workdir_lib.flatten_config(default())
    assert command.workdir == pathlib.Path("runs/digits")
    assert command.mode == "train"
    assert command.trains


@pytest.mark.parametrize("name", CONFIGS)
def test_every_shipped_config_is_valid_and_names_its_workdir(name):
    command = parse(f"--config={ROOT / 'configs' / name}")
    assert command.workdir.parent == pathlib.Path("runs")


@pytest.mark.parametrize(
    ("config", "dataset", "other"),
    [
        ("mnist.py:fashion_mnist", "mnist", "fashion_mnist"),
        ("fashion_mnist.py:mnist", "fashion_mnist", "mnist"),
    ],
)
def test_variants_take_another_dataset_as_the_anomaly(config, dataset, other):
    data = parse(f"--config={ROOT / 'configs' / config}").config.data
    assert (data.dataset, data.anomaly_dataset) == (dataset, other)


@pytest.mark.parametrize(
    "args",
    [
        ("--config.seed=3", f"--config={ROOT / 'configs/mnist.py'}"),
        ("--config.seed=3", "--config", f"{ROOT / 'configs/mnist.py'}"),
        ("--config", f"{ROOT / 'configs/mnist.py'}", "--config.seed=3"),
    ],
)
def test_the_config_file_may_be_written_before_or_after_its_fields(args):
    config = parse(*args).config
    assert (config.name, config.seed) == ("mnist", 3)


def test_the_digits_config_is_the_embedded_default():
    config = parse(f"--config={ROOT / 'configs/digits.py'}").config
    assert workdir_lib.flatten_config(config) == workdir_lib.flatten_config(default())


def test_fields_are_overridden_and_lists_of_names_may_be_spelled_as_a_shell_allows():
    config = parse(
        "--config.train.learning_rate=1",
        "--config.data.anomaly_classes=3,4",
        "--config.scoring.names=('mse','kl')",
        "--config.data.skip_corrupt=true",
    ).config
    assert config.train.learning_rate == 1.0
    assert config.data.anomaly_classes == ("3", "4")
    assert config.scoring.names == ("mse", "kl")
    assert config.data.skip_corrupt is True
    assert parse("--config.data.anomaly_classes=7").config.data.anomaly_classes == ("7",)


def test_the_workdir_may_be_below_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse("--workdir=~/runs/a").workdir == tmp_path / "runs/a"
    unknown = "~nobody_has_this_name/a"
    assert parse(f"--workdir={unknown}").workdir == pathlib.Path(unknown)


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("--mode=trian", "train|evaluate"),
        ("--wrokdir=x", "wrokdir"),
        ("stray", "stray is not a flag"),
        ("--config.data.image_size=30", "must be divisible by 4: choose 28 or 32"),
        ("--config.model.likelihood=bernouli", "did you mean bernoulli"),
        ("--config.data.dataset=minst", "did you mean mnist"),
        ("--config.scoring.names=mse,elbow", "did you mean elbo"),
        ("--config.scoring.false_alarm_rate=1.5", "between 0 and 1"),
        ("--config.train.batch_size=0", "at least 1"),
        ("--config.train.learning_rate=nan", "finite number above 0"),
        ("--config.data.val_fraction=0.9", "must be below 1, because"),
        ("--config.data.normal_classes=0", "class 0 is in both"),
        ("--config.model.widths=(0,4)", "model.widths"),
        ("--config.seed=4294967296", "must be at most 2147483647"),
        ("--coordinator=here:1234", "--num_processes and --process_id are missing"),
    ],
)
def test_mistakes_are_refused_with_the_value_and_what_to_do(arg, message):
    assert message in refusal(arg)


def test_tiles_of_the_folder_dataset_are_not_judged_by_themselves():
    arguments = f"--config={ROOT / 'configs/folder.py'}", "--config.data.tile_stride=64"
    message = refusal(*arguments, "--config.data.framing=crop")
    assert "the dataset folder labels whole images, not tiles: set data.framing=tiles" in message
    assert parse(*arguments, "--config.data.framing=tiles").config.data.tile_stride == 64


def test_a_region_of_whole_images_does_not_belong_to_tiles():
    message = refusal("--config.data.framing=tiles", "--config.data.roi=ellipse")
    assert "data.framing is tiles and data.roi is ellipse" in message


@pytest.mark.parametrize(
    ("coordinator", "num_processes", "process_id", "message"),
    [
        ("here", 2, 0, "--coordinator=here is not HOST:PORT"),
        (":1234", 2, 0, "is not HOST:PORT"),
        ("here:http", 2, 0, "is not HOST:PORT"),
        ("here:65536", 2, 0, "port from 1 to 65535"),
        ("here:1234", 0, 0, "--num_processes=0 must be at least 1"),
        ("here:1234", 2, 2, "--process_id=2 must be from 0 to 1"),
        ("here:1234", 2, -1, "--process_id=-1 must be from 0 to 1"),
    ],
)
def test_an_impossible_cluster_is_refused(coordinator, num_processes, process_id, message):
    assert message in refusal(
        f"--coordinator={coordinator}",
        f"--num_processes={num_processes}",
        f"--process_id={process_id}",
    )


def test_only_the_first_of_several_processes_leads():
    for process_id in range(3):
        command = parse(
            "--coordinator=[::1]:1234", "--num_processes=3", f"--process_id={process_id}"
        )
        assert command.cluster == Cluster("[::1]:1234", 3, process_id)
        assert command.leads == (process_id == 0)
    assert parse().leads


@pytest.mark.parametrize("mode", ["audit", "verify", "select", "explore", "ablate", "compare"])
def test_modes_for_one_process_refuse_several(mode):
    message = refusal(
        f"--mode={mode}", "--coordinator=here:1", "--num_processes=2", "--process_id=0"
    )
    assert f"--mode={mode} runs in one process only" in message


@pytest.mark.parametrize("field", ["manual_dir", "anomaly_manual_dir"])
@pytest.mark.parametrize(
    ("workdir", "folder"), [("images", "images"), ("x", "x/images"), ("x/../x", "link"), (".", "x")]
)
def test_a_workdir_that_contains_the_images_is_refused(
    tmp_path, monkeypatch, field, workdir, folder
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x/images").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "x")
    message = refusal(f"--workdir={workdir}", f"--config.data.{field}={folder}")
    assert f"data.{field}={folder} is in --workdir={workdir}" in message


def test_a_workdir_below_the_images_or_beside_them_is_accepted(tmp_path):
    for workdir in (tmp_path / "images/runs/a", tmp_path / "images2"):
        parse(f"--workdir={workdir}", f"--config.data.manual_dir={tmp_path / 'images'}")


@pytest.mark.parametrize("config", ["mnist.py:fashon_mnist", "fashion_mnist.py:kmnist"])
def test_an_unknown_variant_is_refused_with_the_valid_ones(config):
    assert "valid: " in refusal(f"--config={ROOT / 'configs' / config}")


def test_evaluate_reads_the_config_of_the_run_and_changes_only_scoring(tmp_path):
    config = default()
    config.model.latent_dim = 3
    claim_workdir(tmp_path, config)
    command = parse(
        "--mode=evaluate", f"--workdir={tmp_path}", "--config.scoring.threshold_rule=mean_std"
    )
    assert command.config.model.latent_dim == 3
    assert command.config.scoring.threshold_rule == "mean_std"
    assert not command.trains
    message = refusal("--mode=evaluate", f"--workdir={tmp_path}", "--config.model.latent_dim=4")
    assert "was trained with 3" in message


def test_evaluating_an_empty_workdir_is_refused(tmp_path):
    assert "holds no run" in refusal("--mode=evaluate", f"--workdir={tmp_path}")


def run_main(*args, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "vae_jax.main", *args],
        capture_output=True, text=True, cwd=ROOT, check=False, **kwargs,
    )  # fmt: skip


def test_help_describes_every_mode_and_exits_with_status_0():
    done = run_main("--help")
    assert done.returncode == 0
    for mode, description in MODES.items():
        assert any(
            line.split(maxsplit=1) == [mode, description] for line in done.stdout.splitlines()
        )


@pytest.mark.parametrize(
    "args",
    [
        ("--config.train.epohcs=1",),
        ("--config=configs/mnist.py", "--config.data.manual_dir=/nowhere"),
        ("--workdir=/proc/run",),
    ],
)
def test_a_refusal_is_one_line_on_stderr_and_status_2(args, tmp_path):
    args = args if any("workdir" in arg for arg in args) else (*args, f"--workdir={tmp_path}")
    done = run_main(*args, f"--config.data.dir={tmp_path}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")


def test_help_and_refusals_import_neither_jax_nor_tfds():
    code = (
        "import sys; from vae_jax.main import main; "
        "assert main(['main', '--help']) == 0; assert main(['main', '--config.a.b=1']) == 2; "
        "assert main(['main', '--process_id=1']) == 2; "
        "sys.exit(bool({'jax', 'tensorflow_datasets'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0
