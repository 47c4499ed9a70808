"""`gan`: sizes, what each phase moves and freezes, the generator's gradient through D, exact resume, errors, images."""

import numpy as np
import pytest
from devices import assert_same
from steps import move_parameters

import tinyae
from tinyae import models
from tinyae.errors import ConfigError, DataError, StaleParamsError
from tinyae.layers import BatchNorm, Sequential
from tinyae.models.context import Context
from tinyae.params import walk
from tinyae.training.loop import Trainer
from tinyae.training.prepared import Prepared
from tinyae.training.step import Step

DENSE = dict(input_shape=(6, 5, 1), latent_dim=3, hidden=(7, 4), dtype="float64")
CONV = dict(input_shape=(6, 5, 1), latent_dim=3, network="conv", channels=(3, 4), dropout=0.0, dtype="float64")
WASSERSTEIN = dict(loss="wasserstein", critic_steps=3)
each_form = pytest.mark.parametrize("form", (DENSE, CONV, DENSE | WASSERSTEIN, CONV | WASSERSTEIN))


def images(n=8, shape=(6, 5, 1)):
    return np.random.default_rng(0).random((n, *shape))


def count(*sizes):
    return sum(a * b + b for a, b in zip(sizes, sizes[1:], strict=False))


def test_sizes():
    assert models.GAN().param_count == count(64, 256, 512, 784) + count(784, 512, 256, 1) == 1_083_921
    # Dense to 7 x 7 x 64 and a transposed conv without biases, two BatchNorms, and the last transposed conv.
    generator = 64 * 49 * 64 + 4 * 4 * 64 * 32 + 2 * (64 + 32) + 4 * 4 * 32 + 1
    discriminator = (4 * 4 * 32 + 32) + (4 * 4 * 32 * 64 + 64) + count(49 * 64, 1)
    assert models.GAN(network="conv").param_count == generator + discriminator == 270_690


@pytest.mark.parametrize("shape", ((28, 28, 1), (25, 17, 3), (1, 2, 1), (8, 8, 2)))
@pytest.mark.parametrize("network", ("dense", "conv"))
def test_images_of_any_size(shape, network):
    model = models.GAN(shape, network=network, hidden=(5,))
    x = model.sample(3, seed=1)
    assert x.shape == (3, *shape) and x.dtype == np.float32 and 0 <= x.min() and x.max() <= 1
    np.testing.assert_array_equal(x, model.sample(3, seed=1))
    assert (x != model.sample(3, seed=2)).any()
    terms, _ = model.loss_and_grads({"x": np.zeros((2, *shape))})
    assert all(np.isfinite(float(value)) for value in terms.values())


@each_form
def test_a_phase_moves_its_own_network_alone(form):
    """And the running statistics of BatchNorm in the generator's phase alone."""
    model = models.GAN(**form)
    for phase in model.phases:
        before, state = model.store.flat.copy(), model.state.flat.copy()
        stepper = Step(model, tinyae.optim.SGD(0.1), phase=phase)
        stepper.gradients({"x": images()}, model.backend.noise(0, 0))
        stepper.update()
        moved = {name for name, w in model.store.named.items() if (w != _view(model, before, name)).any()}
        # A phase's whole network moves, but for the bias of a critic's last layer, which cancels.
        expected = {name for name in model.store.named if name.split(".")[0] in phase.trains}
        last = list(model.store.named)[-1]
        assert moved - {last} == expected - {last}
        assert (state != model.state.flat).any() == ("network" in form and phase.name == "generator")


def _view(model, flat, name):
    start = 0
    for other, w in model.store.named.items():
        if other == name:
            return flat[start : start + w.size].reshape(w.shape)
        start += w.size


@each_form
def test_the_generator_learns_through_the_frozen_discriminator(form):
    """Its gradient is not zero, and equals finite differences of the loss of D(G(z)) written out here."""
    model = models.GAN(**form)
    z = np.random.default_rng(1).normal(size=(8, 3))
    _, grads = model.loss_and_grads({"x": images()}, {"generator.z": z})

    def loss():
        net = Context(model, model.backend.noise(0, 0).child("generator"), True, None, 8)
        logits, _ = net.discriminator.forward(net.generator.forward(z)[0])
        return -logits.mean() if model.wasserstein else np.log1p(np.exp(-logits)).mean()

    assert np.abs(grads["generator"]["generator.0.weight"]).max() > 1e-6
    for name in ("generator.0.weight", [n for n in model.store.named if n.startswith("generator")][-1]):
        w, h = model.store.named[name], 1e-6
        for place in [tuple(np.random.default_rng(i).integers(0, w.shape)) for i in range(3)]:
            kept, ends = w[place], []
            for step in (h, -h):
                w[place] = kept + step
                ends.append(loss())
            w[place] = kept
            assert grads["generator"][name][place] == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-5, abs=1e-9)


@each_form
def test_terms_by_their_definitions(form):
    model, x = models.GAN(**form | {"dropout": 0.0}), images()
    z = np.random.default_rng(1).normal(size=(8, 3))
    terms = model.loss({"x": x}, {"discriminator.z": z, "generator.z": z})
    real, fake = (model.apply("discriminator", images) for images in (x, model.decode(z)))
    if model.wasserstein:
        assert terms["distance"] == pytest.approx(real.mean() - fake.mean(), rel=1e-12)
        assert terms["discriminator"] == pytest.approx(terms["penalty"] - terms["distance"], rel=1e-12)
        assert terms["loss"] == pytest.approx(-fake.mean(), rel=1e-12)
    else:
        p, q = (1 / (1 + np.exp(-logits)) for logits in (real, fake))
        assert terms["discriminator"] == pytest.approx(-np.log(p).mean() - np.log(1 - q).mean(), rel=1e-12)
        assert terms["accuracy"] == pytest.approx(((p > 0.5).mean() + (q < 0.5).mean()) / 2)
        assert terms["loss"] == pytest.approx(-np.log(q).mean(), rel=1e-12)


def test_smoothing_is_one_sided():
    model, x = models.GAN(**DENSE | {"smoothing": 0.2, "dropout": 0.0}), images()
    z = np.random.default_rng(1).normal(size=(8, 3))
    p, q = (1 / (1 + np.exp(-model.apply("discriminator", images))) for images in (x, model.decode(z)))
    expected = -(0.8 * np.log(p) + 0.2 * np.log(1 - p)).mean() - np.log(1 - q).mean()
    assert model.loss({"x": x}, {"discriminator.z": z})["discriminator"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("form", (DENSE, DENSE | WASSERSTEIN))
def test_parts_of_a_batch_sum_to_the_whole(form):
    model, x = models.GAN(**form), images(7)
    assert model.separable
    rng = model.backend.noise(0, 0)
    for phase in model.phases:
        results = []
        for cuts in ([(0, 7)], [(0, 3), (3, 7)]):
            grads, terms = model.store.subset(phase.trains).like(), {}
            for start, stop in cuts:
                noise = rng.rows(start, stop, 7)
                found, _ = phase.run(model, model.prepare({"x": x[start:stop]}), noise, grads.tree, batch_size=7)
                terms = {name: terms.get(name, 0) + np.float64(value) for name, value in found.items()}
            results.append([terms, grads.named])
        assert_same(*results, 1e-12)


@each_form
def test_stale_parameters_are_refused(form, monkeypatch):
    """An optimiser step between a phase's forward and its backward."""
    model = models.GAN(**form)
    move_parameters(monkeypatch)
    with pytest.raises(StaleParamsError):
        model.loss_and_grads({"x": images()})


@each_form
def test_resume_is_exact_across_phases(form, tmp_path, monkeypatch):
    """Stopped in the middle of an epoch, between two of the generator's steps."""
    x, options = images(50), dict(epochs=3, batch_size=8, progress=False, threads=1)
    straight, broken, resumed = (models.GAN(**form) for _ in range(3))
    tinyae.fit(straight, x, **options)
    step = Trainer._train_step

    def stop_at_9(trainer, batch, display):
        step(trainer, batch, display)
        if trainer.step == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_train_step", stop_at_9)
    with pytest.raises(KeyboardInterrupt):
        tinyae.fit(broken, x, out=tmp_path, checkpoint_every=0.0, **options)
    monkeypatch.setattr(Trainer, "_train_step", step)
    history = tinyae.fit(resumed, x, out=tmp_path, resume=True, **options)
    assert history.steps == 21
    np.testing.assert_array_equal(resumed.store.flat, straight.store.flat)
    np.testing.assert_array_equal(resumed.state.flat, straight.state.flat)


def test_the_generator_moves_each_few_steps_of_a_critic():
    steps = {phase.name: phase.updates(10) for phase in models.GAN(**DENSE | WASSERSTEIN).phases}
    assert steps == {"discriminator": 10, "generator": 4}
    assert {phase.updates(10) for phase in models.GAN(**DENSE).phases} == {10}


def test_momentum_is_a_half():
    model = models.GAN(**DENSE)
    settings = dict(batch_size=4, optimizer="adam", lr=0.1, schedule="constant", warmup=0, clip_norm=None,
                    validation=0.0, binarize=None, without_class=None, seed=0)  # fmt: skip
    trainer = Trainer(model, Prepared(model, images(), batch_size=4), settings, 1)
    assert [optimizer.beta1 for optimizer in trainer.optimizers.each] == [0.5, 0.5]


def test_the_discriminator_has_no_batchnorm():
    """Else the penalty's gradient, and what parts of a batch are, would be wrong."""
    for form in (DENSE, CONV):
        critic = models.GAN(**form).networks["discriminator"]
        assert isinstance(critic, Sequential) and not any(isinstance(layer, BatchNorm) for layer in critic.layers)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(loss="wassersteen"), "unknown loss 'wassersteen': did you mean 'wasserstein'"),
        (dict(network="convv"), "unknown network 'convv': did you mean 'conv'"),
        (dict(output="relu"), "unknown output 'relu'"),
        (dict(smoothing=0.5), "smoothing: expected a number of at least 0 and below 0.5, got 0.5"),
        (dict(smoothing=0.1, loss="wasserstein"), "smoothing: a Wasserstein critic has no labels"),
        (dict(penalty=-1.0), "penalty: expected a number of at least 0"),
        (dict(critic_steps=0), "critic_steps: expected an integer from 1 to 16777216"),
        (dict(latent_dim=0), "latent_dim: expected an integer from 1 to 16777216"),
        (dict(hidden=(0,)), "hidden: expected up to 64 integers from 1 to 16777216"),
        (dict(network="conv", channels=(0,)), "channels: expected up to 64 integers from 1 to 16777216"),
        (dict(network="conv", input_shape=(8,)), "a convolutional model takes images"),
    ],
)
def test_bad_option_is_one_line(options, message):
    with pytest.raises(ConfigError) as caught:
        models.GAN(**options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_there_is_no_encoder():
    model = models.GAN(**DENSE)
    for ask in (model.encode, model.reconstruct):
        with pytest.raises(ConfigError, match="^gan has no encoder, it draws from noise: use `sample`"):
            ask(images())


def test_data_of_any_range_need_a_linear_output():
    rows = 3 * images(20, (4,)) - 1
    with pytest.raises(DataError, match="output=sigmoid needs .*: use output=linear"):
        tinyae.fit(models.GAN(4), rows, epochs=1, progress=False)
    model = models.GAN(4, output="linear", hidden=(8,))
    tinyae.fit(model, rows, epochs=1, batch_size=10, standardize=True, progress=False)
    assert model.sample(5).shape == (5, 4)


def test_a_ring_of_points_is_learned():
    """Noise of two dimensions takes the place of points on a circle: near it, and all around."""
    angle = 2 * np.pi * np.random.default_rng(0).random(2000)
    x = np.stack((np.cos(angle), np.sin(angle)), axis=1).astype("float32")
    model = models.GAN(2, latent_dim=2, hidden=(64, 64), output="linear", dropout=0.0)
    tinyae.fit(model, x, epochs=40, batch_size=100, lr=0.003, progress=False, threads=1)
    drawn = model.sample(1000)
    assert np.median(np.abs(np.linalg.norm(drawn, axis=1) - 1)) < 0.15
    filled = np.unique(((np.arctan2(drawn[:, 1], drawn[:, 0]) / np.pi + 1) * 4).astype(int) % 8)
    assert len(filled) == 8


def test_running_statistics_are_those_of_what_is_drawn():
    """Samples, which use them, are about as bright as what is drawn in training, with the batch's own statistics."""
    model = models.GAN(**CONV)
    tinyae.fit(model, images(200), epochs=4, batch_size=20, progress=False)
    z = np.random.default_rng(2).normal(size=(200, 3))
    trained = Context(model, None, True, None, 200).generator.forward(z)[0].mean()
    assert model.decode(z).mean() == pytest.approx(trained, rel=0.1)
    assert dict(walk(model.state.tree["discriminator"])) == {}


def test_an_epoch_may_end_before_the_generator_has_had_a_step(tmp_path):
    """The second epoch has two steps of D and none of G, so no term of G's: it is trained, saved and resumed."""
    options = DENSE | dict(loss="wasserstein", critic_steps=5)
    settings = dict(batch_size=4, progress=False, out=tmp_path)
    records = tinyae.fit(models.GAN(**options), images(), epochs=2, **settings).records
    assert ["loss" in record["train"] for record in records] == [True, False]
    more = tinyae.fit(models.GAN(**options), images(), epochs=3, resume=True, **settings)
    assert [record["epoch"] for record in more.records] == [1, 2, 3] and more.best["epoch"] == 3
