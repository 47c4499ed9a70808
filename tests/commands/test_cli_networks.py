"""Own networks from a Python file: `train --set networks=FILE.py`, and --networks FILE.py on later commands."""

import json

import numpy as np
import pytest
from command_line import ENVIRONMENT, refused, run

import tinyae
from tinyae.commands.own_networks import import_file
from tinyae.errors import ConfigError

FILE = '''
from tinyae.layers import Dense, Flatten, Layer, Sequential

class Double(Layer):
    """y = 2 x, and dx = 2 dy."""

    def forward(self, params, x, train=False, rng=None, state=None):
        return 2 * x, None

    def backward(self, params, cache, dy, grads=None):
        return 2 * dy

def encoder():
    return Sequential(Flatten(), Dense(6, init="he"), Double(), Dense(4))
'''
ONLY_TINYAES = "from tinyae.layers import *\nencoder = Sequential(Flatten(), Dense(4))\n"
TRAIN = "train", "vae", "--data", "digits", "--epochs", 1, "--batch-size", 500, "--no-pictures", "--set", "hidden=5"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_networks.py").write_text(FILE)
    return tmp_path


def test_a_run_with_own_layers_is_trained_resumed_and_sampled(folder):
    own = "--set", "networks=my_networks.py"
    first = run(*TRAIN, *own, "--out", "run", cwd=folder).stdout
    assert "sample run --networks my_networks.py" in first
    said = refused("sample", "run", cwd=folder)
    assert said.endswith(
        "best.npz cannot be loaded yet: it has layers of your own class Double: give the Python file that defines it, "
        "as in --networks my_networks.py"
    )
    run("sample", "run", "--networks", "my_networks.py", "--out", "s.npy", cwd=folder)
    assert np.load(folder / "s.npy").shape[1:] == (8, 8, 1)
    run("train", "vae", "--out", "run", "--resume", "--epochs", 2, "--no-pictures", *own, cwd=folder)
    done = run("evaluate", "run", "--networks", "my_networks.py", "--json", cwd=folder).stdout
    assert np.isfinite(json.loads(done)["loss"])
    resume = "train", "vae", "--out", "run", "--resume", "--epochs", 3
    said = refused(*resume, cwd=folder)
    assert "Double: give the Python file" in said and "overwrite" not in said
    (folder / "other.py").write_text(ONLY_TINYAES)
    said = refused(*resume, *own, "--set", "networks=other.py", cwd=folder)
    assert said.startswith("the run in run has encoder={") and said.endswith("leave it out, or choose another --out")


def test_layers_of_tinyaes_need_no_file_afterwards(folder):
    (folder / "plain.py").write_text(ONLY_TINYAES)
    run(*TRAIN, "--set", "networks=plain.py", "--out", "run", cwd=folder)
    (folder / "plain.py").unlink()
    run("sample", "run", "--out", "s.npy", cwd=folder)
    model = tinyae.load(folder / "run")
    assert [layer["class"] for layer in model.config["encoder"]["layers"]] == ["Flatten", "Dense"]


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("my_networks.txt", FILE, "expected a Python file whose name can be imported, such as my_networks.py, got "),
        ("a-b.py", FILE, "expected a Python file whose name can be imported, such as my_networks.py, got a-b.py"),
        ("none.py", None, "no file none.py"),
        ("own.py", "x = 1", "own.py defines no network of vae: it takes encoder, decoder"),
        ("own.py", "x = (", "own.py: SyntaxError: '(' was never closed"),
        ("own.py", "\nx = 1 / 0", "own.py, line 2: ZeroDivisionError: division by zero"),
        ("own.py", "import missing_package", "own.py, line 1: ModuleNotFoundError: No module named 'missing_package'"),
        ("own.py", "encoder = 3", "own.py: encoder must be a layer, such as Sequential(...), or a function that retur"),
        ("own.py", "def encoder(units):\n    pass", "own.py: TypeError: encoder() missing 1 required positional argum"),
        ("own.py", "from tinyae.layers import *\nencoder = Dense(0)", "own.py, line 2: Dense: units must be"),
        ("own.py", "from tinyae.layers import *\ndecoder = Flatten", "vae: decoder turns (2,) into (2,), but"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    said = refused("train", "vae", "--data", "digits", "--set", f"networks={name}", cwd=tmp_path,
                   env=ENVIRONMENT | {"PYTHONDONTWRITEBYTECODE": "1"})  # fmt: skip
    assert said.startswith(message)


@pytest.mark.parametrize("name", ["json", "wave"])  # imported already, and not yet
def test_a_file_does_not_take_the_place_of_another_module(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("raise SystemExit")
    with pytest.raises(ConfigError, match=f"{name}.py has the same name as another module, {name}: rename the file"):
        import_file(tmp_path / f"{name}.py")


def test_a_model_with_networks_of_its_own_takes_no_file(folder):
    said = refused("train", "conv-vae", "--set", "networks=my_networks.py", cwd=folder)
    assert said.startswith("unknown option of conv-vae 'networks'")


def test_the_option_is_explained(tmp_path):
    said = run("models", "gan", cwd=tmp_path).stdout
    assert "networks=FILE.py    (your own networks)" in said and "any of generator, discriminator" in said
    assert "networks=FILE" not in run("models", "conv-vae", cwd=tmp_path).stdout
