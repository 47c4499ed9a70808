"""Messages name what their reader types: flags on the command line, arguments in a program."""

import numpy as np
import pytest

from tinyae import cli, fit
from tinyae.data import load
from tinyae.errors import ConfigError, DataError, DivergedError, MissingExtraError
from tinyae.models import AE, GAN, VAE, VQVAE, SemiAAE
from tinyae.training.monitors import Adversaries, CodebookUsage
from tinyae.wording import counted, example, flag, number, on_the_command_line, setting

ROWS = np.random.default_rng(0).random((20, 4), np.float32)


def told(error, call):
    """The message of the error that a call raises, as a program and as the command line says it."""
    with pytest.raises(error) as in_a_program:
        call()
    with on_the_command_line(), pytest.raises(error) as in_a_shell:
        call()
    return str(in_a_program.value), str(in_a_shell.value)


def test_flags_and_arguments():
    program = [flag("clip_norm"), flag("clip_norm", 1), flag("resume", True), setting("penalty"), setting("ema", True)]
    assert program == ["clip_norm", "clip_norm=1", "resume=True", "penalty", "ema=True"]
    with on_the_command_line():
        assert [flag("clip_norm"), flag("clip_norm", 1), flag("resume", True)] == [
            "--clip-norm", "--clip-norm 1", "--resume",
        ]  # fmt: skip
        assert setting("penalty") == "penalty (--set penalty=...)"
        assert setting("ema", True) == "ema=true (--set ema=true)"
    assert flag("clip_norm") == "clip_norm"


@pytest.mark.parametrize(
    "value, text",
    [(1.0, "1"), (np.float32(1.0000002), "1.0000002"), (255.00001, "255.00001"), (np.float32(-3.10634), "-3.10634"),
     (0.1 + 0.2, "0.3"), (1e30, "1e+30")],
)  # fmt: skip
def test_a_number_is_never_rounded_to_an_integer_that_it_is_not(value, text):
    assert number(value) == text


def test_numbers_of_things():
    assert [counted(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [example(shape) for shape in ((4,), (7, 7), (28, 28, 1))] == ["row", "map", "image"]


def test_labels_that_classes_do_not_divide():
    program, shell = told(ConfigError, lambda: SemiAAE(classes=3))
    assert program == "labelled=100 examples cannot be as many of each of 3 classes: use labelled=99"
    assert shell.endswith("use labelled=99 (--set labelled=99)")
    assert told(ConfigError, lambda: SemiAAE(classes=12, labelled=5))[0].endswith("use labelled=12")


def test_rows_are_not_called_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", ROWS)
    assert cli.main(["train", "ae", "--data", "x.npy", "--epochs", "1", "--set", "hidden=4", "--no-pictures"]) == 0
    said = capsys.readouterr().err
    assert "x: 18 rows" in said and "examples/s" in said and "image" not in said
    assert cli.main(["evaluate", "runs/ae"]) == 0
    assert "test split, 2 rows; nats, means per row" in capsys.readouterr().out


def test_values_just_above_one_are_told_in_all_their_digits(tmp_path):
    x = ROWS.copy()
    x[3, 1] = np.nextafter(np.float32(1), np.float32(2)) + np.float32(1e-7)
    with pytest.raises(DataError, match=r"to 1\.0000002, but loss=bce needs"):
        fit(AE(input_shape=(4,), latent_dim=2), x, progress=False)
    np.save(tmp_path / "x.npy", x.reshape(20, 2, 2))
    with pytest.raises(DataError, match=r"to 1\.0000002, float images need \[0, 1\]"):
        load(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "options, program, shell",
    [
        (dict(clip_norm=-1), "clip_norm: expected", "--clip-norm: expected"),
        (dict(batch_size=0), "batch_size: expected", "--batch-size: expected"),
        (dict(validation=2), "validation: expected", "--validation: expected"),
        (dict(validation=0.01), "validation=0.01 of 20", "--validation 0.01 of 20"),
    ],
)
def test_options_of_a_training(options, program, shell):
    said = told(ConfigError, lambda: fit(AE(input_shape=(4,), latent_dim=2), ROWS, progress=False, **options))
    assert said[0].startswith(program) and said[1].startswith(shell)


def test_a_used_folder(tmp_path):
    def train():
        fit(AE(input_shape=(4,), latent_dim=2, hidden=()), ROWS, epochs=1, out=tmp_path, progress=False)

    train()
    program, shell = told(ConfigError, train)
    assert "(resume=True)" in program and "(overwrite=True)" in program and "--" not in program
    assert "(--resume)" in shell and "(--overwrite)" in shell and "(--out)" in shell


def test_a_data_set_to_fetch(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TINYAE_DATA", raising=False)
    program, shell = told(DataError, lambda: load("cifar10"))
    assert "fetch it with tinyae.data.fetch('cifar10')" in program
    assert "fetch it with tinyae data fetch cifar10," in shell


def test_an_extra_can_be_installed_from_a_checkout_too():
    assert str(MissingExtraError("drawing", "viz")) == (
        "drawing needs the extra 'viz': pip install '.[viz]' in tinyae's checkout, or pip install 'tinyae[viz]'"
    )


def diverge(x, standardize=False, **options):
    """Train with far too high a rate."""
    model = VAE(input_shape=x.shape[1:], hidden=(8,), **options)
    fit(model, x, epochs=9, lr=1e30, progress=False, standardize=standardize)


def test_a_table_that_diverges_is_told_to_standardise():
    program, shell = told(DivergedError, lambda: diverge(1e6 * ROWS, likelihood="gaussian"))
    assert program.endswith("Standardise the columns (standardize=True); a lower lr alone hardly helps")
    assert shell.endswith("Standardise the columns (--standardize); a lower --lr alone hardly helps")


@pytest.mark.parametrize(
    "x, options",
    [
        (ROWS, {}),  # in [0, 1], for the Bernoulli likelihood
        (1e6 * ROWS, dict(likelihood="gaussian", standardize=True)),
        (ROWS.reshape(20, 2, 2, 1), dict(likelihood="gaussian")),
    ],
)
def test_others_that_diverge_are_told_lower_rates(x, options):
    program, shell = told(DivergedError, lambda: diverge(x, **options))
    assert program.endswith("Try a lower lr, or clip the gradient (clip_norm=1)")
    assert shell.endswith("Try a lower --lr, or clip the gradient (--clip-norm 1)")


def test_divergence_has_an_exit_code_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("t.npy", 1e6 * ROWS)
    words = ["--set", "likelihood=gaussian", "--lr", "1e30", "--no-pictures", "--out", "r"]
    assert cli.main(["train", "vae", "--data", "t.npy", *words]) == 3
    assert "(--standardize)" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert all(line in shown for line in ("2    bad input", "3    training diverged", "130  stopped by Ctrl-C"))


def test_warnings_name_options():
    """As they are shown: a collapsed codebook, and a critic that is too steep."""
    warn = CodebookUsage(VQVAE(input_shape=(4, 4, 1), codes=64)).warnings
    (program,) = warn({"perplexity": [1.0]})
    assert program.endswith("A lower lr, moving averages (ema=True) or fewer codes may help")
    critic = Adversaries(GAN(input_shape=(4, 4, 1), hidden=(4,), loss="wasserstein"))
    terms = {"distance": 9.0}
    records = [{"step": 600 * i, "train": terms, "gap": 1.0} for i in (1, 2)]
    assert critic.alarms(records)["steep"].endswith("A larger penalty may help")
    with on_the_command_line():
        (shell,) = warn({"perplexity": [1.0]})
        assert "A lower --lr, moving averages (ema=true (--set ema=true)) or fewer codes (--set codes=...)" in shell
        assert critic.alarms(records)["steep"].endswith("A larger penalty (--set penalty=...) may help")
