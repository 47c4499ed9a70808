"""`vae-gan`: what each phase moves and what it leaves alone, sizes, its start from a VAE, resuming, what is refused."""

import json

import numpy as np
import pytest
from adversary_oracles import phase_of
from killing import Killed, KilledAt
from steps import move_parameters

import tinyae
from tinyae import cli, models, optim
from tinyae.errors import CheckpointError, ConfigError, StaleParamsError
from tinyae.evaluation.likelihood import importance_weighted
from tinyae.layers.activations import sigmoid
from tinyae.models.vae_gan import feature_loss
from tinyae.training.step import Step

SMALL = dict(input_shape=(8, 8, 1), latent_dim=3, channels=(4, 6), units=8)
TRAINS = {"encoder": {"encoder"}, "decoder": {"decoder"}, "discriminator": {"features", "head"}}
each_phase = pytest.mark.parametrize("name", TRAINS)


@pytest.fixture(scope="module")
def digits():
    """Real images, (600, 8, 8, 1) uint8."""
    return tinyae.data.load("digits").train.x[:600]


def make(**options):
    return models.VAEGAN(**SMALL | options)


def fit(model, x, **options):
    return tinyae.fit(model, x, **{"epochs": 2, "batch_size": 50, "threads": 1, "progress": False} | options)


# Sizes


def test_sizes_of_the_default_are_those_of_conv_vae_and_a_discriminator():
    model, vae = models.VAEGAN(), models.ConvVAE()
    parts = {name: model.store.subset((name,)).flat.size for name in model.networks}
    convolutions = 4 * 4 * 1 * 32 + 32 + 4 * 4 * 32 * 64 + 64
    assert parts == {
        "encoder": vae.store.subset(("encoder",)).flat.size,
        "decoder": vae.store.subset(("decoder",)).flat.size,
        "features": convolutions,
        "head": 7 * 7 * 64 * 256 + 256 + 256 + 1,
    }
    assert model.param_count == vae.param_count + parts["features"] + parts["head"] == 2_528_074


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 7, 3), (17, 20, 2)])
def test_images_of_any_size(shape):
    model = models.VAEGAN(input_shape=shape, latent_dim=2, channels=(2, 3), units=4)
    x = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype="uint8")
    assert model.encode(x).shape == (5, 2)
    for images in (model.reconstruct(x), model.decode(np.zeros((5, 2))), model.sample(5)):
        assert images.shape == (5, *shape) and 0 < images.min() and images.max() < 1
    np.testing.assert_array_equal(model.reconstruct(x), model.decode(model.encode(x)))
    assert (model.sample(5, seed=1) != model.sample(5)).any()


# Phases


def test_half_of_the_squares_of_features():
    rng = np.random.default_rng(0)
    seen, target = rng.normal(size=(2, 3, 2, 2, 4))
    loss, dseen = feature_loss(seen, target)
    assert loss == pytest.approx(sum((s - t) ** 2 / 2 for s, t in zip(seen.flat, target.flat, strict=True)) / 3)
    np.testing.assert_allclose(dseen, (seen - target) / 3)
    halves = [feature_loss(seen[rows], target[rows], 3) for rows in (slice(0, 1), slice(1, 3))]
    assert sum(part for part, _ in halves) == pytest.approx(loss)
    np.testing.assert_allclose(np.concatenate([d for _, d in halves]), dseen)


@each_phase
def test_a_phase_moves_its_own_networks_alone(name, digits):
    """A whole update: every array of what it trains moves, and of all others not a bit."""
    model = make()
    before = {key: array.copy() for key, array in model.named_parameters().items()}
    step = Step(model, optim.Adam(1e-3), phase=phase_of(model, name))
    step.gradients({"x": digits[:20]}, model.backend.noise(0))
    step.update()
    moved = {key for key, array in model.named_parameters().items() if (array != before[key]).any()}
    assert moved == {key for key in before if key.split(".")[0] in TRAINS[name]}


def test_the_decoders_gradient_passes_the_whole_of_the_frozen_discriminator(digits):
    """Against differences of a formula of its own: -log D(y) - log D(y') + gamma/2 |D_l(x) - D_l(y)|^2, all of it."""
    model, x = make(dtype="float64", gamma=0.3), digits[:4] / 255 * 0.8 + 0.1
    rng = np.random.default_rng(0)
    model.store.flat[...] += 0.1 * rng.normal(size=model.param_count)  # no ReLU of exactly 0
    noise = {f"decoder.{name}": rng.normal(size=(4, 3)) for name in ("z", "prior")}

    def run(name, value):
        return model.apply(name, value)

    def objective():
        mu, logvar = model.posterior(x)
        y = sigmoid(run("decoder", mu + np.exp(logvar / 2) * noise["decoder.z"]))
        drawn = sigmoid(run("decoder", noise["decoder.prior"]))
        total = 0.15 * ((run("features", y) - run("features", x)) ** 2).sum() / 4
        return total + sum(np.log1p(np.exp(-run("head", run("features", fake)))).sum() / 4 for fake in (y, drawn))

    given = noise | {f"{p}.{k}": rng.normal(size=(4, 3)) for p in ("encoder", "discriminator") for k in ("z", "prior")}
    del given["encoder.prior"]
    terms, grads = model.loss_and_grads({"x": x}, given)
    assert float(terms["decoder"]) == pytest.approx(objective(), rel=1e-12)
    for name, gradient in grads["decoder"].items():
        direction = rng.normal(size=gradient.shape)
        view, found = model.named_parameters()[name], []
        start = view.copy()
        for h in (1e-6, -1e-6):
            view[...] = start + h * direction
            found.append(objective())
        view[...] = start
        slope = (gradient * direction).sum()
        assert abs(slope) > 1e-4
        assert (found[0] - found[1]) / 2e-6 == pytest.approx(slope, rel=1e-4), name


def test_what_the_discriminator_sees_decides_the_encoders_gradient(digits):
    """Where D's convolutions see nothing, the KL is all that is left."""
    model = make(dtype="float64")
    model.store.subset(("features",)).flat[...] = 0
    terms, grads = model.loss_and_grads({"x": digits[:5]})
    assert float(terms["reconstruction"]) == 0 and float(terms["loss"]) == pytest.approx(float(terms["kl"]))
    assert all((g == 0).all() for name, g in grads["decoder"].items())
    assert any((g != 0).any() for g in grads["encoder"].values())


def test_accuracy_weighs_real_and_made_images_alike(digits):
    """A logit of 0.5 whatever the image: all real ones right, all made ones wrong."""
    model = make()
    model.store.subset(("head",)).flat[...] = 0
    model.store.tree["head"]["3"]["bias"][...] = 0.5
    terms = model.loss({"x": digits[:9]})
    assert float(terms["accuracy"]) == 0.5
    assert float(terms["generator"]) == pytest.approx(2 * np.log1p(np.exp(-0.5)))
    assert float(terms["discriminator"]) == pytest.approx(np.log1p(np.exp(-0.5)) + 2 * np.log1p(np.exp(0.5)))


@each_phase
def test_a_step_between_forward_and_backward_is_noticed(name, digits, monkeypatch):
    model = make()
    move_parameters(monkeypatch)
    with pytest.raises(StaleParamsError, match="changed between forward .* and backward"):
        model.phase_terms(phase_of(model, name), {"x": digits[:3]}, None, 0, 0, grads=model.store.like().tree)


# Training


def test_it_learns_images_that_no_phase_compares_in_pixels(digits):
    """Images it has not seen come back nearer than their mean; samples are about as different as the data."""
    model, unseen = make(channels=(32,), units=32, latent_dim=6, gamma=3.0), digits[500:] / 255
    history = fit(model, digits[:500], epochs=20, batch_size=25, lr=2e-3)
    assert ((model.reconstruct(unseen) - unseen) ** 2).mean() < 0.75 * ((unseen - unseen.mean(axis=0)) ** 2).mean()
    last = history.records[-1]
    assert tuple(last["train"]) == model.terms and len(last["kl_per_dimension"]) == 6
    assert last["train"]["loss"] == pytest.approx(last["train"]["reconstruction"] + last["train"]["kl"])
    assert last["spread"] > 0.5


def test_a_run_killed_within_an_epoch_ends_on_the_same_bits(digits, tmp_path):
    options, x = dict(epochs=3, lr=2e-3, checkpoint_every=0.0), digits[:250]
    whole = make()
    expected = fit(whole, x, **options)
    with pytest.raises(Killed):
        fit(make(), x, out=tmp_path, **options | {"progress": KilledAt(7)})
    resumed = make()
    history = fit(resumed, x, out=tmp_path, resume=True, **options)
    assert history.records == expected.records and history.steps == 15
    np.testing.assert_array_equal(resumed.store.flat, whole.store.flat)
    loaded = tinyae.load(tmp_path / "last.npz")
    np.testing.assert_array_equal(loaded.sample(3), whole.sample(3))


def test_any_number_of_threads_gives_the_same_bits(digits):
    flats = []
    for threads in (1, 3):
        model = make()
        fit(model, digits[:200], batch_size=140, threads=threads)
        flats.append(model.store.flat)
    np.testing.assert_array_equal(*flats)


# A VAE as start


@pytest.fixture(scope="module")
def vae(digits, tmp_path_factory):
    """(a short run of conv-vae, its folder)."""
    model, out = models.ConvVAE(**SMALL, seed=5), tmp_path_factory.mktemp("vae")
    fit(model, digits[:100], epochs=1, out=out)
    return model, out


def test_it_begins_with_the_networks_of_a_vae(vae, digits, tmp_path):
    start, out = vae
    model, fresh = make(start=str(out)), make()
    fit(model, digits[:50], epochs=1, lr=1e-30)
    np.testing.assert_allclose(model.reconstruct(digits[:9]), start.reconstruct(digits[:9]), rtol=0, atol=1e-6)
    discriminator = ("features", "head")
    own, drawn = (m.store.subset(discriminator).flat for m in (model, fresh))
    np.testing.assert_allclose(own, drawn, rtol=0, atol=1e-20)


def test_a_run_that_began_with_a_vae_needs_it_no_more(vae, digits, tmp_path):
    gone, out = tmp_path / "vae.npz", tmp_path / "run"
    vae[0].save(gone)
    model = make(start=str(gone))
    fit(model, digits[:100], out=out)
    gone.unlink()
    again = tinyae.load(out)
    np.testing.assert_array_equal(again.store.flat, model.store.flat)
    fit(again, digits[:100], out=out, resume=True, epochs=3)
    assert (again.store.flat != model.store.flat).any()


@pytest.mark.parametrize(
    "start, options, said",
    [
        (None, dict(latent_dim=4), r"has latent_dim=3, this model 4: give both the same"),
        (None, dict(channels=(4, 5)), r"has channels=\[4, 6\], this model \[4, 5\]: give both the same"),
        (models.ConvVAE(**SMALL, likelihood="gaussian"), {}, "train the conv-vae with likelihood=bernoulli"),
        (models.VAE(input_shape=(8, 8, 1)), {}, "is a run of vae: give one of conv-vae"),
    ],
)
def test_a_start_of_another_kind_is_refused_in_one_line(start, options, said, vae, digits, tmp_path):
    path = vae[1]
    if start is not None:
        path = tmp_path / "start.npz"
        start.save(path)
    with pytest.raises(ConfigError, match=f"^start: .* {said}") as caught:
        fit(make(start=str(path), **options), digits[:50])
    assert "\n" not in str(caught.value)


def test_a_start_that_is_not_there_is_said_in_one_line(digits, tmp_path):
    with pytest.raises(CheckpointError, match=r"^start: no such run \S*/nothing: give the folder of a conv-vae$"):
        fit(make(start=str(tmp_path / "nothing")), digits[:50])


@pytest.mark.parametrize("gamma", [0, -1.0, float("inf"), float("nan")])
def test_gamma_is_a_positive_number(gamma):
    with pytest.raises(ConfigError, match="^gamma: expected a number above 0, got "):
        make(gamma=gamma)


def test_it_claims_no_likelihood():
    with pytest.raises(ConfigError, match="vae-gan has no likelihood"):
        importance_weighted(make(), np.zeros((2, 8, 8, 1)), 2)


def test_on_the_command_line_a_vae_goes_on_as_a_vae_gan(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sizes = [word for name in ("channels=4", "units=8") for word in ("--set", name)]
    common = ["--data", "digits", "--epochs", "1", "--threads", "1", "--latent-dim", "3", *sizes]
    assert cli.main(["train", "conv-vae", *common, "--no-pictures"]) == 0
    assert cli.main(["train", "vae-gan", *common, "--set", "start=runs/conv-vae"]) == 0
    assert {"reconstructions.png", "samples.png"} <= {path.name for path in tmp_path.glob("runs/vae-gan/*.png")}
    assert cli.main(["sample", "runs/vae-gan", "-n", "4", "--out", "four.npz"]) == 0
    assert [array.shape for array in np.load("four.npz").values()] == [(4, 8, 8, 1)]
    capsys.readouterr()
    assert cli.main(["evaluate", "runs/vae-gan", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(models.VAEGAN.terms) <= found.keys() and "elbo" not in found
    assert cli.main(["train", "vae-gan", *common, "--set", "start=runs/none", "--out", "other"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("tinyae: start: no such run runs/none")
