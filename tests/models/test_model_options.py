"""The options of a model: declared once, in the signature of its constructor; --set, help and docstring follow."""

import ast
import inspect
import json
import re
import subprocess
import sys

import pytest

from tinyae import cli
from tinyae.commands.model_options import as_text, default_options, meanings, read_value
from tinyae.declared import BACKEND, DTYPE, SEED, Option, declared, options_of
from tinyae.errors import ConfigError
from tinyae.layers import Dense
from tinyae.models import NAMES, VAE, Model
from tinyae.options import Choice, Count

each_model = pytest.mark.parametrize("name", NAMES)


@each_model
def test_every_option_of_every_model_is_explained(name):
    """Its meaning, the names that it takes, and what 0, "auto" and nothing stand for where they are the default."""
    model_class = NAMES[name]
    texts = meanings(model_class)
    assert texts.keys() == default_options(model_class).keys()
    for option, default in default_options(model_class).items():
        text, kind = texts[option], options_of(model_class)[option].kind
        assert len(text) > 20 and text[0].isupper() and text.endswith("."), option
        if default in (0, "auto", ()) and not isinstance(default, bool):
            assert {0: "0", "auto": '"auto"', (): "Without any"}[default] in text, option
        if isinstance(default, str) and default:
            with pytest.raises(ConfigError, match=f"known: .*{default}") as refused:
                model_class(**{option: "nonsense"})
            known = str(refused.value).partition("known: ")[2].split(", ")
            listed = kind.known if isinstance(kind, Choice) else re.findall(r'"([^"]+)"', text)
            assert set(listed) == set(known), option


@each_model
def test_signature_config_and_docstring_agree(name):
    model_class, model = NAMES[name], NAMES[name]()
    options, parameters = options_of(model_class), inspect.signature(model_class).parameters
    assert {key: option.default for key, option in options.items()} == {k: p.default for k, p in parameters.items()}
    for key, option in options.items():
        assert option.kind.check(key, option.default) == option.default, key
    unsaved = {key for key, option in options.items() if option.default is None} | {"seed", "backend", "dtype"}
    assert model.config.keys() == options.keys() - unsaved
    listed = re.findall(r"^(\w+) : .*, default (.+)$", model_class.__doc__, re.MULTILINE)
    assert listed == [(key, repr(option.default)) for key, option in options.items()]


@each_model
def test_an_editor_sees_the_parameters(name):
    """In the text of the file, without running it."""
    model_class = NAMES[name]
    tree = ast.parse(inspect.getsource(sys.modules[model_class.__module__]))
    written = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == model_class.__name__)
    (init,) = (node for node in written.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    assert [argument.arg for argument in init.args.args[1:]] == list(inspect.signature(model_class).parameters)


def test_a_subclass_declares_options_of_its_own():
    size = Option(3, Count(), "The size of a code.")

    class Own(VAE):
        """A VAE of one shape."""

        @declared
        def __init__(self, latent_dim=size, seed=SEED, backend=BACKEND, dtype=DTYPE):
            super().__init__((4,), latent_dim, hidden=(5,), seed=seed, backend=backend, dtype=dtype)

    model = Own(latent_dim=2, dtype="float64")
    assert (model.config, model.dtype, model.input_shape) == ({"latent_dim": 2}, "float64", (4,))
    assert "latent_dim : an integer" in Own.__doc__ and "hidden" not in Own.__doc__
    with pytest.raises(ConfigError, match="latent_dim: expected an integer"):
        Own(latent_dim=0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'hidden'"):
        Own(hidden=(3,))


def test_a_plain_subclass_may_set_its_config_first_and_a_model_may_be_made_again():
    class Plain(VAE):
        def __init__(self):
            self.config = {"mine": 1}
            super().__init__((4,), 2, (5,))

    model = Plain()
    assert model.config["latent_dim"] == 2
    VAE.__init__(model, (3,), 1, (2,))
    assert (model.config["input_shape"], model.param_count) == ((3,), VAE((3,), 1, (2,)).param_count)


def test_build_without_a_config_says_what_to_do():
    class Undeclared(Model):
        def __init__(self):
            self.input_shape = (4,)
            self.build({"encoder": (Dense(2), (4,))})

    with pytest.raises(ConfigError, match="give `build` the constructor's arguments, or decorate it by"):
        Undeclared()


def test_the_command_explains_all_models(capsys):
    assert cli.main(["models", "--options"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {option}=" in text for kind in NAMES.values() for option in default_options(kind))


def test_options_do_without_docstrings():
    code = "from tinyae.models import VAE; print(VAE.__doc__, VAE(latent_dim=3).config['latent_dim'])"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None 3\n"


def test_a_published_implementation_lists_its_options():
    text = meanings(NAMES["vae"])["source"]
    assert '"bojone" (init=glorot; trained with optimizer=rmsprop, epsilon=1e-07, batch_size=100)' in text


def test_inherited_options_are_explained_where_they_are_declared():
    assert meanings(NAMES["cvae"])["likelihood"] == meanings(NAMES["vae"])["likelihood"]
    assert "the hidden pixels" in meanings(NAMES["masked-ae"])["loss"]


def test_the_command_explains_a_model(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["models", "vq-vae"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1] == "49,937 parameters at 28x28 with these defaults."
    i = lines.index("  codes=0")
    assert lines[i + 1 : i + 4] == [
        "      The number of codes of a codebook, K; 0 takes the network's own (small",
        "      128, paper 512, residual 64).",
        "      (an integer)",
    ]
    assert cli.main(["models", "vq-vae", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["options"]["codes"] == 0 and row["kinds"]["ema"] == "true or false"
    assert row["meanings"] == meanings(NAMES["vq-vae"])
    assert cli.main(["models", "vqvae"]) == 2
    assert "unknown model 'vqvae': did you mean 'vq-vae'?" in capsys.readouterr().err


def test_options_are_written_as_they_are_read():
    for model_class in NAMES.values():
        for option, default in default_options(model_class).items():
            assert read_value(option, as_text(default), default) == default
    assert read_value("ema", "True", False) is True
