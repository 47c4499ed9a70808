"""--json: an answer for programs from every command, also where something is wrong; and nothing left behind then."""

import json

import pytest

from tinyae import cli
from tinyae.errors import ConfigError
from tinyae.training.run import Run


def call(*words, code=0):
    assert cli.main(list(map(str, words))) == code


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained vae of digits."""
    path = tmp_path_factory.mktemp("runs") / "vae"
    call("train", "vae", "--data", "digits", "--epochs", 1, "--set", "hidden=4", "--no-pictures", "--out", path)
    return path


def test_every_command_has_it(capsys):
    for name in cli.COMMANDS.keys() - {"bench"}:
        with pytest.raises(SystemExit):
            call(name, "--help")
        assert "--json" in capsys.readouterr().out, name


@pytest.mark.parametrize("command, count", [("sample", 3), ("reconstruct", 360)])
def test_commands_that_write_arrays(command, count, run, tmp_path, capsys):
    out = str(tmp_path / "a.npy")
    call(command, run, "-n", 3, "--out", out, "--json")
    assert json.loads(capsys.readouterr().out) == {"model": "vae", "images": count, "out": out}


@pytest.mark.parametrize(
    "words, says",
    [
        (("evaluate", "nothing"), "no run nothing"),
        (("train", "vae", "--hidden", "5"), "use --set hidden=5"),
        (("models", "foo"), "unknown model 'foo'"),
        (("gradcheck", "foo"), "unknown layer"),
        (("data", "fetch", "digits"), "there is nothing to download, use it with --data digits"),
    ],
)
@pytest.mark.parametrize("flag", ["--json", "--js"])
def test_an_error_is_json_too(flag, words, says, capsys):
    call(*words, flag, code=2)
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["exit_code"] == 2 and says in answer["error"] and err == f"tinyae: {answer['error']}\n"


def test_divergence_is_json_too(tmp_path, capsys):
    words = ("--data", "digits", "--lr", 1e30, "--no-pictures", "--out", tmp_path / "r")
    call("train", "vae", *words, "--json", code=3)
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 3 and answer["error"].startswith("training diverged")


def test_a_run_that_is_refused_leaves_no_folder(run, tmp_path, monkeypatch, capsys):
    """Also where only the model's first look at the data finds what is wrong."""
    monkeypatch.chdir(tmp_path)
    words = ("--data", "digits", "--set", f"start={run}", "--no-pictures")
    call("train", "vae-gan", *words, "--out", "a/b/c", code=2)
    assert "is a run of vae: give one of conv-vae" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError), Run(tmp_path / "mine" / "r"):
        raise ConfigError("refused")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


@pytest.mark.parametrize(
    "words, says",
    [
        (("sample", "r", "extra"), "unrecognized arguments: extra (see tinyae sample --help)"),
        (("train", "vae", "--set", "ema=true"), "; vq-vae has it"),
        (("train", "vae", "--set", "classes=3"), "; cvae and class-mean-vae and mixture-vae have it"),
    ],
)
def test_signposts(words, says, capsys):
    call(*words, code=2)
    assert says in capsys.readouterr().err


def test_what_cannot_be_measured_names_the_option(run, capsys):
    call("evaluate", run, "--clusters", code=2)
    assert capsys.readouterr().err == "tinyae: --clusters: vae finds no classes: use a mixture-vae\n"


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "gan"
    options = ("--set", "hidden=4", "--latent-dim", 2, "--no-pictures")
    call("train", "gan", "--data", "digits", "--epochs", 1, *options, "--out", path)
    return path


@pytest.mark.parametrize("option", ["--quality", "--probe"])
def test_an_option_that_the_model_cannot_answer_is_named(option, gan, capsys):
    call("evaluate", gan, option, code=2)
    said = capsys.readouterr().err
    assert said.startswith(f"tinyae: {option}: gan has no encoder, it draws from noise: use tinyae sample, or")
