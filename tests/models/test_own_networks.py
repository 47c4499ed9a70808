"""A user's own networks in a model: trained, checked, saved, loaded and resumed like any other."""

import json
import subprocess
import sys

import numpy as np
import pytest
from checkpoint_files import rewrite
from killing import Killed, KilledAt

import tinyae
from tinyae import models
from tinyae.errors import CheckpointError, ConfigError, ShapeError
from tinyae.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    SiLU,
    Tanh,
    UpSample2D,
)

X = np.random.default_rng(0).random((24, 4, 4, 1), dtype="float32")
LABELS = np.arange(24) % 3
SMALL = dict(input_shape=(4, 4, 1), latent_dim=2)


def vector(units, first=5):
    """x -> (units,), with running statistics."""
    return Sequential(Flatten(), Dense(first, bias=False), BatchNorm(), Tanh(), Dense(units))


def image():
    return Sequential(Dense(6), SiLU(), Dense(16), Reshape((4, 4, 1)))


CASES = [
    ("ae", dict(encoder=vector(2), decoder=image(), loss="mse")),
    ("vae", dict(encoder=vector(4))),
    ("vae", dict(decoder=Residual(image(), projection=image()), likelihood="learned-gaussian", samples=2)),
    ("beta-vae", dict(encoder=vector(4), decoder=image(), network="conv", capacity=2.0)),
    ("cvae", dict(encoder=vector(4), decoder=image(), classes=3)),
    ("mixture-vae", dict(encoder=vector(4), decoder=image(), classifier=vector(3), classes=3)),
    ("vq-vae", dict(encoder=Sequential(Conv2D(2, 2, 2), SiLU()), decoder=Sequential(UpSample2D(2), Conv2D(1, 3)))),
    ("aae", dict(encoder=vector(2), decoder=image(), discriminator=vector(1), classes=3)),
    ("gan", dict(generator=image(), discriminator=vector(1))),
    ("gan", dict(generator=image(), discriminator=Sequential(Flatten(), Dense(4), LeakyReLU(), Dense(1)),
                 loss="wasserstein")),
]  # fmt: skip
each_case = pytest.mark.parametrize("name, own", CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)])


def made(name, own, **options):
    return models.NAMES[name](**SMALL, **own, **options)


def batch(model):
    return {"x": X} | ({"labels": LABELS} if model.labels else {})


@each_case
def test_gradients_of_own_networks(name, own):
    report = tinyae.gradcheck(made(name, own, dtype="float64"))
    assert report.passed, report


@each_case
def test_a_training_goes_on_bit_for_bit_where_it_was_killed(name, own, tmp_path):
    def train(folder, **options):
        model = made(name, own)
        tinyae.fit(model, batch(model), epochs=3, batch_size=8, seed=1, out=tmp_path / folder, **options)
        return model

    whole = train("whole", progress=False)
    with pytest.raises(Killed):
        train("killed", progress=KilledAt(7))
    resumed = train("killed", resume=True, progress=False)
    loaded = tinyae.load(tmp_path / "killed" / "last.npz")
    for model in (resumed, loaded):
        np.testing.assert_array_equal(model.store.flat, whole.store.flat)
        np.testing.assert_array_equal(model.state.flat, whole.state.flat)
    assert repr(loaded) == repr(whole)
    draw = loaded.uniform_codes if name == "vq-vae" else loaded.sample if loaded.prior.exists else None
    if draw is not None:
        assert np.isfinite(draw(2)).all()


def test_the_default_networks_leave_the_config_as_it_was():
    own = {"encoder", "decoder", "generator", "discriminator", "classifier"}
    for name in ("ae", "vae", "beta-vae", "cvae", "mixture-vae", "vq-vae", "aae", "gan"):
        assert not own & models.NAMES[name]().config.keys()


@pytest.mark.parametrize(
    "name, own, message",
    [
        ("vae", dict(encoder=vector(3)), r"vae: encoder turns (4, 4, 1) into (3,), but this model needs (4,)"),
        ("ae", dict(decoder=Dense(16)), r"ae: decoder turns (2,) into (16,), but this model needs (4, 4, 1)"),
        ("vae", dict(encoder=Dense(4)), "vae: encoder does not take (4, 4, 1): Dense(4): expected input of one axis"),
        ("cvae", dict(encoder=vector(5), classes=3), "cvae: encoder turns (19,) into (5,), but this model needs (4,)"),
        ("cvae", dict(decoder=Dense(4), classes=3), "decoder turns (5,) into (4,), but this model needs (4, 4, 1)"),
        ("mixture-vae", dict(classifier=Dense(4)), "classifier turns (2,) into (4,), but this model needs (10,)"),
        ("aae", dict(discriminator=Dense(2)), "discriminator turns (2,) into (2,), but this model needs (1,)"),
        ("gan", dict(generator=Dense(4)), "generator turns (2,) into (4,), but this model needs (4, 4, 1)"),
        ("gan", dict(discriminator=vector(2)), "discriminator turns (4, 4, 1) into (2,), but this model needs (1,)"),
        ("vq-vae", dict(encoder=Conv2D(3, 4, 4)), "turns (4, 4, 1) into (1, 1, 3), but this model needs (1, 1, 2)"),
        ("vq-vae", dict(encoder=vector(2)), "encoder turns (4, 4, 1) into (2,), but this model needs (1, 1, 2)"),
        ("vq-vae", dict(encoder=Conv2D(2, 1)), "turns (4, 4, 2) into (16, 16, 1), but this model needs (4, 4, 1)"),
    ],
)  # fmt: skip
def test_shapes_are_checked_when_the_model_is_made(name, own, message):
    with pytest.raises(ShapeError) as caught:
        made(name, own)
    assert message in str(caught.value)


@pytest.mark.parametrize("odd", [Dense, "conv", 3, [Dense(4)], len])
def test_what_is_no_layer_is_refused(odd):
    with pytest.raises(ConfigError, match=r"\Aencoder: expected a layer, such as Sequential\(\.\.\.\), got "):
        models.VAE(encoder=odd)


def test_a_wasserstein_critic_is_checked_when_the_model_is_made(registry):
    class Square(ReLU):
        """Its slope changes with x, whatever its parent's does."""

    flat = Sequential(Flatten(), Dense(2), Square(), Dense(1))
    for critic in (vector(1), flat, Residual(Flatten(), Dense(1), projection=Sequential(Flatten(), Dense(1)))):
        with pytest.raises(ConfigError, match="the gradient penalty is for piecewise linear critics"):
            models.GAN((4, 4, 1), loss="wasserstein", discriminator=critic)


def test_init_and_source_leave_own_networks_as_they_are():
    own = vector(4)
    plain, sourced = (models.VAE(**SMALL, encoder=own, **o) for o in ({}, dict(source="bojone")))
    np.testing.assert_array_equal(plain.store.named["encoder.4.weight"], sourced.store.named["encoder.4.weight"])
    assert own.layers[1].init_name == "glorot" and own.layers[1].bias_init == "zeros"


def test_a_run_is_not_resumed_with_other_networks(tmp_path):
    tinyae.fit(models.VAE(**SMALL, encoder=vector(4)), X, epochs=1, out=tmp_path, progress=False)
    with pytest.raises(CheckpointError, match="encoder="):
        tinyae.fit(models.VAE(**SMALL, encoder=vector(4, 6)), X, epochs=2, out=tmp_path, resume=True, progress=False)


def test_statistics_move_by_every_call_of_a_step():
    """The discriminator sees real and generated examples apart; its running mean is of both."""
    model = models.GAN((4, 4, 1), latent_dim=2, discriminator=vector(1), dtype="float64")
    (phase, _), before = model.phases, model.state.tree["discriminator"]["2"]["mean"].copy()
    _, net = phase.run(model, model.prepare({"x": X.astype("float64")}), model.backend.noise(0, 0), train=True)
    first = model.networks["discriminator"].layers[1]
    weight = model.store.tree["discriminator"]["1"]
    drawn = net.generator.layer.forward(net.generator.params, net.normal("z", (24, 2)), True)[0]
    seen = [first.forward(weight, x.reshape(24, -1))[0].mean(axis=0) for x in (X.astype("float64"), drawn)]
    model.after_update(phase, net)
    expected = 0.9 * (0.9 * before + 0.1 * seen[0]) + 0.1 * seen[1]
    np.testing.assert_allclose(model.state.tree["discriminator"]["2"]["mean"], expected, rtol=1e-12)


MODULE = '''
from tinyae.layers import Dense, Flatten, Layer, Sequential

class Double(Layer):
    """y = factor x, and dx = factor dy."""

    def __init__(self, factor=2.0):
        self.factor = factor

    @classmethod
    def examples(cls):
        return [(cls(3.0), (4,))]

    def forward(self, params, x, train=False, rng=None, state=None):
        return self.factor * x, None

    def backward(self, params, cache, dy, grads=None):
        return self.factor * dy

def encoder():
    return Sequential(Flatten(), Double(0.5), Dense(4))
'''
LOAD = "import sys, tinyae; {imports}; print(tinyae.load(sys.argv[1]).encode([[[[0.5]] * 4] * 4]).tolist())"


@pytest.fixture
def own(tmp_path, monkeypatch, registry):
    """A user's module with a layer of its own, importable for the time of a test."""
    (tmp_path / "own_layers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import own_layers

    yield own_layers
    sys.modules.pop("own_layers", None)


def test_an_own_layer_is_loaded_where_its_module_is_imported(own, tmp_path):
    path = tmp_path / "model.npz"
    model = models.VAE(**SMALL, encoder=own.encoder())
    assert tinyae.gradcheck(model).passed
    model.save(path)
    np.testing.assert_array_equal(tinyae.load(path).reconstruct(X), model.reconstruct(X))

    def fresh(imports):
        line = LOAD.format(imports=imports)
        return subprocess.run([sys.executable, "-c", line, path], capture_output=True, text=True, cwd=tmp_path)

    half = np.full((1, 4, 4, 1), 0.5, "float32")
    np.testing.assert_allclose(json.loads(fresh("import own_layers").stdout), model.encode(half), rtol=1e-5)
    said = f"NotImportedError: {path} cannot be loaded yet: it has layers of your own class Double: import the module "
    assert f"{said}own_layers first" in fresh("pass").stderr


def test_a_file_alone_imports_nothing(own, registry, tmp_path):
    models.VAE(**SMALL, encoder=own.encoder()).save(tmp_path / "model.npz")
    del registry["own_layers:Double"]
    del sys.modules["own_layers"]
    with pytest.raises(CheckpointError, match="import the module own_layers first"):
        tinyae.load(tmp_path / "model.npz")
    assert "own_layers" not in sys.modules


@pytest.mark.parametrize(
    "encoder, message",
    [
        ({"class": "subprocess:Popen", "args": ["ls"]}, "your own class Popen: import the module subprocess first"),
        ({"class": "Dense", "units": 5}, "is corrupted: .* encoder turns (4,) into (5,), but this model needs (4,)"),
        ({"class": "Dense", "units": 10**9}, "is corrupted: .* Dense: units must be an integer from 1"),
        ({"class": "Dense", "units": {"y": 1}}, "is corrupted: .* the description of a layer has its class"),
        ({"class": "Sequential", "layers": 5}, "is corrupted: "),
        ({}, "is corrupted: .* the description of a layer has its class"),
        (3, "is corrupted: .* encoder: expected a layer"),
    ],
)
def test_a_description_that_makes_no_network_is_refused(tmp_path, encoder, message):
    path = tmp_path / "model.npz"
    models.VAE((4,), hidden=(3,), encoder=Dense(4)).save(path)
    rewrite(path, lambda arrays, meta: meta["config"].update(encoder=encoder))
    with pytest.raises(CheckpointError) as caught:
        tinyae.load(path)
    assert all(part in str(caught.value) for part in message.split(".*"))


def test_a_layer_that_nobody_else_can_import_is_refused_before_training(own, registry, tmp_path, monkeypatch):
    monkeypatch.setattr(own.Double, "__module__", "__main__")
    registry["__main__:Double"] = own.Double  # as if it stood in a script
    model = models.VAE(**SMALL, encoder=own.encoder())
    said = "no other program can import __main__:Double: put this layer into a module"
    with pytest.raises(CheckpointError, match=rf"cannot write .*model.npz: {said}"):
        model.save(tmp_path / "model.npz")
    before = model.store.flat.copy()
    with pytest.raises(CheckpointError, match=said):
        tinyae.fit(model, X, epochs=1, out=tmp_path / "run", progress=False)
    np.testing.assert_array_equal(model.store.flat, before)
    assert not (tmp_path / "run").exists() and not (tmp_path / "model.npz").exists()
    tinyae.fit(model, X, epochs=1, progress=False)
