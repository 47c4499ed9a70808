"""What is said of a flag that a command does not have."""

import sys

import pytest

from tinyae import cli
from tinyae.commands.model_options import as_text, default_options
from tinyae.models import NAMES


def said(*words, capsys):
    """The one line on stderr of a command that is refused, without its beginning and the pointer to the help."""
    assert cli.main(list(words)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tinyae: ") and err.count("\n") == 1
    return err.removeprefix("tinyae: ").partition(" (see tinyae")[0].rstrip("\n")


@pytest.mark.parametrize(
    "words, points_to",
    [
        ("vae --hidden 512", "--hidden: use --set hidden=512"),
        ("--hidden 512 256 vae", "--hidden: use --set hidden=512,256"),
        ("vae --hidden=512,256", "--hidden: use --set hidden=512,256"),
        ("beta-vae --beta 4", "--beta: use --set beta=4"),
        ("vae --beta=4", "--beta: use --set beta=4, an option of beta-vae"),
        ("vae --likelihood gaussian", "--likelihood: use --set likelihood=gaussian"),
        ("vae --likelihood=gaussian", "--likelihood: use --set likelihood=gaussian"),
        ("beta-vae --free-bits 0.5", "--free-bits: use --set free_bits=0.5"),
        ("vq-vae --ema", "--ema: use --set ema=true"),
        ("vq-vae --no-restart", "--no-restart: use --set restart=false"),
        ("vae --batch_size 64", "--batch_size: use --batch-size"),
        ("vae --batch_size=64", "--batch_size: use --batch-size"),
        ("vae --latent_dim 5", "--latent_dim: use --latent-dim"),
        ("vae --learning-rate 0.1", "--learning-rate: use --lr"),
        ("vae -epochs 3", "-epochs: use --epochs"),
        ("vae --epoch_s 3", "--epoch_s: did you mean --epochs?"),
        ("vae --hiden 512", "--hiden: did you mean --set hidden=512?"),
        ("vae --xyz", "--xyz"),
    ],
)
def test_flags_of_train(words, points_to, capsys):
    assert said("train", *words.split(), capsys=capsys) == f"tinyae train has no option {points_to}"


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_a_model_typed_as_a_flag(name, capsys):
    for option, default in default_options(NAMES[name]).items():
        if option not in ("latent_dim", "codes", "warmup"):  # these three have flags of their own
            value = as_text(default) or "7"
            for words in ([f"--{option}", value], [f"--{option.replace('_', '-')}={value}"]):
                assert said("train", name, *words, capsys=capsys).endswith(f": use --set {option}={value}")


def test_flags_that_mean_something_else(capsys):
    words = ("train", "beta-vae", "--warmup", "linear")
    assert said(*words, capsys=capsys).endswith("got 'linear'; to set the model's option, use --set warmup=linear")
    assert "the model's option" not in said("train", "vae", "--warmup", "linear", capsys=capsys)
    words = ("train", "vq-vae", "--codes", "512")
    assert said(*words, capsys=capsys).endswith("trained on images: the number of codes is --set codes=512")


@pytest.mark.parametrize(
    "words, says",
    [
        (("sample", "r", "--seeed", "3"), "tinyae sample has no option --seeed: did you mean --seed?"),
        (("evaluate", "r", "--hidden", "3"), "tinyae evaluate has no option --hidden"),
        (("transfer", "r", "--label", "3"), "tinyae transfer has no option --label"),
        (("--nonsense",), "tinyae has no option --nonsense"),
        (("--json", "models"), "tinyae has no option --json"),
    ],
)
def test_flags_of_other_commands(words, says, capsys):
    assert said(*words, capsys=capsys) == says


def test_values_are_no_flags(capsys):
    """A negative number, an abbreviation and what is joined to a short flag get as far as the missing run."""
    for words in (("arithmetic", "r", "--add", "1", "--strengths", "-.5", "-1"), ("sample", "r", "-n8", "--temp", "1")):
        assert said(*words, capsys=capsys).startswith("no run r")


# --threads


def test_every_command_that_computes_takes_a_number_of_threads(capsys):
    without = {"models", "data", "info", "bench"}  # a benchmark has its own
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        assert ("--threads N" in capsys.readouterr().out) == (name not in without), name


def test_a_command_computes_on_so_many_threads(monkeypatch):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    from tinyae.backend import threads

    def blas():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    def command(arguments):
        seen.append((threads.available(), set(blas())))

    seen, before = [], blas()
    monkeypatch.setitem(cli.COMMANDS, "gradcheck", (command, cli.COMMANDS["gradcheck"][1]))
    monkeypatch.setattr(command, "__doc__", "For this test.")
    assert cli.main(["gradcheck", "--threads", "1"]) == 0
    assert seen == [(1, {1})] and blas() == before


def test_a_number_of_threads_needs_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert "a number of threads needs the extra 'threads'" in said("gradcheck", "mse", "--threads", "1", capsys=capsys)
