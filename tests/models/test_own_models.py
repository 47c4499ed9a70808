"""Models of a user's own class: trained, saved, and loaded as what they are, by a class that is imported or given."""

import importlib.util
import json
import re
import sys

import numpy as np
import pytest
from command_line import refused

import tinyae
from tinyae.errors import CheckpointError, ConfigError
from tinyae.layers import Dense
from tinyae.losses import mse
from tinyae.models import VAE, Model

X = np.random.default_rng(0).random((12, 4), dtype="float32")
OWN = '''
from tinyae.layers import Dense
from tinyae.losses import mse
from tinyae.models import AE, Model

class Linear(Model):
    """A model of few lines, without dtype and backend."""

    def __init__(self, units=2):
        self.input_shape, self.latent_dim = (4,), units
        networks = {"encoder": (Dense(units), (4,)), "decoder": (Dense(4), (units,))}
        self.build(networks, {"units": units}, 0, "numpy", "float32")

    def step(self, net, x):
        z, c_enc = net.encoder.forward(x)
        y, c_dec = net.decoder.forward(z)
        loss, dy = mse(y, x, net.count)
        if net.needs_grads:
            net.encoder.add_grads(c_enc, net.decoder.backward(c_dec, dy))
        return {"loss": loss}

    def _encode(self, x):
        return self.apply("encoder", x)

class Twice(AE):
    """An AE with one option more, which keeps its name."""

    def __init__(self, factor=2.0, **options):
        super().__init__(**options)
        self.factor = factor
        self.config |= {"factor": factor}

    def _encode(self, x):
        return self.factor * super()._encode(x)
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A user's module, imported under a name of this test's own; afterwards it and its classes are gone."""
    path = tmp_path / "mine.py"
    path.write_text(OWN)

    def load(name):
        spec = importlib.util.spec_from_file_location(name, path)
        made = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, made)
        spec.loader.exec_module(made)
        return made

    return load


def test_an_imported_class_is_found_by_its_name(module, tmp_path):
    mine = module("mine_found")
    models = mine.Linear(units=3), mine.Twice(factor=3.0, input_shape=(4,), latent_dim=2, hidden=(), loss="mse")
    for model in models:
        tinyae.fit(model, X, epochs=2, out=tmp_path / type(model).__name__, progress=False)
        loaded = tinyae.load(tmp_path / type(model).__name__)
        assert type(loaded) is type(model) and loaded.config == model.config
        np.testing.assert_array_equal(loaded.encode(X), model.encode(X))
    assert (models[0].name, models[1].name) == ("Linear", "ae")


def test_a_class_that_moved_is_found_while_there_is_one_of_its_name(module, tmp_path):
    module("mine_moved").Twice(input_shape=(4,)).save(tmp_path / "m.npz")
    content = dict(np.load(tmp_path / "m.npz"))
    content["meta"] = np.array(str(content["meta"]).replace("mine_moved:Twice", "__main__:Twice"))
    assert json.loads(str(content["meta"]))["class"] == "__main__:Twice"
    np.savez(tmp_path / "m.npz", **content)
    classes = [kind for kind in tinyae.models.AE.__subclasses__() if kind.__name__ == "Twice"]
    if len(classes) == 1:  # another test's may still be there
        assert type(tinyae.load(tmp_path / "m.npz")) is classes[0]
    assert type(tinyae.load(tmp_path / "m.npz", model=classes[-1])) is classes[-1]


def unknown(path, name):
    """The file as if its class were not imported."""
    content = dict(np.load(path))
    content["meta"] = np.array(re.sub(r'"class": "[^"]*"', f'"class": "{name}"', str(content["meta"])))
    np.savez(path, **content)


def test_what_to_do_is_said_where_the_class_is_not_imported(module, tmp_path):
    path = tmp_path / "m.npz"
    module("mine_unknown").Linear().save(path)
    unknown(path, "theirs.models:Elsewhere")
    with pytest.raises(CheckpointError) as caught:
        tinyae.load(path)
    assert str(caught.value) == (
        f"{path} holds a model of your own class Elsewhere, of the module theirs.models, which is not imported: import "
        "it before, or give the class, tinyae.load(path, model=Elsewhere)"
    )
    assert "theirs" not in sys.modules
    assert "commands know tinyae's classes alone: in Python, import it" in refused("evaluate", path, cwd=tmp_path)


def test_the_class_may_be_given(module, tmp_path):
    mine = module("mine_given")
    model = mine.Linear(units=3)
    model.save(tmp_path / "m.npz")
    assert type(tinyae.load(tmp_path / "m.npz", model=mine.Linear)) is mine.Linear
    with pytest.raises(CheckpointError, match="holds a model of the class Linear, not VAE: use that class"):
        VAE(input_shape=(4,)).save(tmp_path / "vae.npz")
        tinyae.load(tmp_path / "m.npz", model=VAE)
    with pytest.raises(ConfigError, match="^model: expected a class of models, such as tinyae.models.VAE, got 3"):
        tinyae.load(tmp_path / "m.npz", model=3)


def test_a_run_of_an_own_class_is_not_resumed_as_another(module, tmp_path):
    twice = module("mine_resumed").Twice
    options = dict(input_shape=(4,), latent_dim=2, hidden=(), loss="mse")
    tinyae.fit(twice(**options), X, epochs=1, out=tmp_path / "run", progress=False)
    tinyae.fit(twice(**options), X, epochs=2, out=tmp_path / "run", resume=True, progress=False)
    with pytest.raises(CheckpointError, match="holds a model of the class Twice, not AE"):
        tinyae.fit(tinyae.models.AE(**options), X, epochs=3, out=tmp_path / "run", resume=True, progress=False)
    assert tinyae.load(tmp_path / "run").config["factor"] == 2.0


class Forgetful(Model):
    """Its config names an option that the class does not take."""

    def __init__(self, units=2, dtype="float32", backend="numpy"):
        self.input_shape, self.latent_dim = (4,), units
        self.build({"encoder": (Dense(units), (4,))}, {"units": units, "width": 3}, 0, backend, dtype)

    def step(self, net, x):
        z, cache = net.encoder.forward(x)
        loss, dz = mse(z, 0 * z, net.count)
        if net.needs_grads:
            net.encoder.add_grads(cache, dz)
        return {"loss": loss}


def test_a_config_that_the_class_does_not_take_is_named(tmp_path):
    Forgetful(dtype="float64").save(tmp_path / "m.npz")
    with pytest.raises(CheckpointError, match="Forgetful takes no option width, but the config .* has width: add it$"):
        tinyae.load(tmp_path / "m.npz")


class Open(Forgetful):
    """It takes any options and keeps them all, although its parent has `dtype` and `backend`."""

    def __init__(self, units=2, **others):
        self.input_shape, self.latent_dim = (4,), units
        self.build({"encoder": (Dense(units), (4,))}, {"units": units, **others}, 0, "numpy", "float32")


class Bare(Model):
    """The same without a parent that has these."""

    __init__, step = Open.__init__, Forgetful.step


@pytest.mark.parametrize("kind", [Open, Bare])
def test_a_class_of_any_options_comes_back_with_those_that_it_was_given(kind, tmp_path):
    model = kind(3, note="mine")
    tinyae.fit(model, X, epochs=1, out=tmp_path, progress=False)
    loaded = tinyae.load(tmp_path)
    assert type(loaded) is kind and loaded.config.items() >= {"units": 3, "note": "mine"}.items()
    np.testing.assert_array_equal(loaded.store.flat, model.store.flat)
    assert kind is Open or loaded.config == model.config


def test_options_may_be_numpy_numbers(tmp_path):
    tinyae.fit(Bare(np.int64(3), scale=np.float32(0.5), each=np.arange(2)), X, epochs=1, out=tmp_path, progress=False)
    assert tinyae.load(tmp_path).config == {"units": 3, "scale": 0.5, "each": [0, 1]}
    with pytest.raises(CheckpointError, match="a set is not JSON serializable"):
        Bare(2, odd={1}).save(tmp_path / "m.npz")


class Nameless(Open):
    def step(self, net, x):
        return {"mse": super().step(net, x)["loss"]}


def test_a_step_without_the_loss_is_named_before_the_first_epoch_is_over(tmp_path):
    with pytest.raises(ConfigError, match="epochs are selected by the term loss, and its step returns mse"):
        tinyae.fit(Nameless(), X, epochs=1, batch_size=6, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


class Shapeless(Model):
    def __init__(self):
        self.build({"encoder": (Dense(2), (4,))}, {}, 0, "numpy", "float32")


def test_a_model_without_an_input_shape_is_named():
    with pytest.raises(ConfigError, match="^Shapeless has no input_shape: set self.input_shape"):
        Shapeless()


def test_a_file_of_tinyaes_own_models_names_no_class(tmp_path):
    VAE(input_shape=(4,)).save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as content:
        assert "class" not in json.loads(str(content["meta"]))
