"""`aae`: sizes, what each phase sees and trains, its regions for labels, training, and what is refused."""

import math

import numpy as np
import oracles
import pytest
from adversary_oracles import log_sigmoid, mlp, phase_of
from devices import assert_same
from killing import Killed, KilledAt

import tinyae
from tinyae import fit, gradcheck, models
from tinyae.backend import Noise
from tinyae.errors import ConfigError, DataError, ShapeError, StaleParamsError
from tinyae.evaluation.coverage import match
from tinyae.layers import Dense, Dropout, ReLU
from tinyae.losses import adversarial
from tinyae.models import AAE
from tinyae.training.step import Step

SMALL = dict(input_shape=(3, 3, 1), latent_dim=2, hidden=(5,), units=(4,), activation="tanh", dtype="float64")
X = np.random.default_rng(0).random((6, 3, 3, 1))
LABELS = np.array([0, 2, 1, -1, 2, 1])
PHASES = ("reconstruction", "discriminator", "generator")
TRAINED = {"reconstruction": {"encoder", "decoder"}, "discriminator": {"discriminator"}, "generator": {"encoder"}}
each_phase = pytest.mark.parametrize("phase", PHASES)
told = pytest.mark.parametrize("classes", (0, 3), ids=("alone", "told"))


def model_of(**options):
    model = AAE(**SMALL | options)
    model.store.flat[...] = 0.7 * np.random.default_rng(1).normal(size=model.param_count)
    return model


def batch_of(model):
    return {"x": X, "labels": LABELS} if model.classes else {"x": X}


def seen(z, model):
    """What the discriminator sees."""
    one_hot = [[float(label == k) for k in range(model.classes)] for label in LABELS]
    return np.concatenate((z, np.reshape(one_hot, (len(z), model.classes))), axis=1)


# Sizes, networks, phases


def test_the_reference_has_the_published_sizes():
    model = AAE(network="reference", latent_dim=120, scale=5.0)
    counts = [model.store.subset([name]).flat.size for name in ("encoder", "decoder", "discriminator")]
    assert counts == [1_906_120, 1_906_784, 311_501]


def test_the_reference_drops_out_before_relu():
    networks = AAE(network="reference", latent_dim=120).networks
    kinds = {name: [layer for layer in net.layers if isinstance(layer, (Dense, Dropout, ReLU))]
             for name, net in networks.items()}  # fmt: skip
    pattern = [Dense, Dropout, ReLU, Dense, Dropout, ReLU, Dense]
    assert [type(layer) for layer in kinds["encoder"]] == pattern == [type(layer) for layer in kinds["discriminator"]]
    assert [type(layer) for layer in kinds["decoder"]] == pattern[:5] + [Dense], "no ReLU after its second layer"
    rates = {name: {layer.rate for layer in layers if isinstance(layer, Dropout)} for name, layers in kinds.items()}
    assert rates == {"encoder": {0.25}, "decoder": {0.25}, "discriminator": {0.2}}


def test_the_small_form_has_two_dimensions():
    model = AAE()
    sizes = (784, 512, 256, 2), (2, 256, 512, 784), (2, 256, 256, 1)
    assert model.param_count == sum((a + 1) * b for s in sizes for a, b in zip(s, s[1:], strict=False))
    assert model.prior.standard and model.prior.exists and not model.labels
    assert not AAE(scale=2.0).prior.standard and not AAE(prior="ring").prior.standard
    assert AAE(classes=10).networks["discriminator"].param_shapes((12,))["1"]["weight"] == (12, 256)


def test_the_phases_of_the_reference():
    """Four Adams: 1e-4 for encoder and decoder, 5e-5 for the discriminator and for the encoder as the generator."""
    phases = AAE(network="reference").phases
    assert [(p.name, set(p.trains), 1e-4 * p.rate, p.every, p.momentum) for p in phases] == [
        ("reconstruction", TRAINED["reconstruction"], 1e-4, 1, 0.9),
        ("discriminator", TRAINED["discriminator"], 5e-5, 1, 0.9),
        ("generator", TRAINED["generator"], 5e-5, 1, 0.9),
    ]


def test_rates_of_the_two_sides():
    own = [phase.rate for phase in AAE().phases]
    assert [phase.rate for phase in AAE(generator_rate=0.1).phases] == [*own[:2], 0.1]
    assert [phase.rate for phase in AAE(discriminator_rate=0.2, generator_rate=0.1).phases] == [1.0, 0.2, 0.1]
    assert [phase.rate for phase in AAE(network="reference", generator_rate=2).phases] == [1.0, 0.5, 2]
    for option in ("discriminator_rate", "generator_rate"):
        message = f"^{option}: expected a number of at least 0, got -1$"
        with pytest.raises(ConfigError, match=message):
            AAE(**{option: -1})


# Losses and gradients


@told
def test_the_terms_are_their_definitions(classes):
    model = model_of(classes=classes, prior="ring")
    p = model.named_parameters()
    terms, _ = model.loss_and_grads(batch_of(model), seed=3, step=5)
    z = mlp(p, "encoder", X)
    rec = oracles.bce_with_logits(mlp(p, "decoder", z), X.reshape(6, -1))
    noise = Noise(3, 5).child("discriminator").child("prior")
    drawn = model.prior.sample(noise, 6, "float64", LABELS if classes else None)
    real, fake = (mlp(p, "discriminator", seen(codes, model)) for codes in (drawn, z))
    assert terms["loss"] == terms["reconstruction"] == pytest.approx(rec, rel=1e-12)
    expected = -np.mean(log_sigmoid(real)) - np.mean(log_sigmoid(-fake))
    assert terms["discriminator"] == pytest.approx(expected, rel=1e-12)
    assert terms["generator"] == pytest.approx(-np.mean(log_sigmoid(fake)), rel=1e-12)
    assert terms["accuracy"] == pytest.approx((np.sum(real > 0) + np.sum(fake < 0)) / 12)
    assert model.loss(batch_of(model), seed=3, step=5) == terms, "nothing is dropped out here"


@told
def test_the_generators_gradient_is_that_of_the_whole_chain(classes):
    """Each coordinate against differences of -log D(encoder(x)) by hand-written networks; none is zero throughout."""
    model = model_of(classes=classes)
    p = {name: value.copy() for name, value in model.named_parameters().items()}
    _, grads = model.loss_and_grads(batch_of(model))
    gradient = grads["generator"]
    assert {name.split(".")[0] for name in gradient} == {"encoder"}

    def loss():
        return -np.mean(log_sigmoid(mlp(p, "discriminator", seen(mlp(p, "encoder", X), model))))

    for name, found in gradient.items():
        assert np.abs(found).max() > 1e-4, name
        for index in np.ndindex(found.shape):
            value, sides = p[name][index], []
            for h in (1e-6, -1e-6):
                p[name][index] = value + h
                sides.append(loss())
            p[name][index] = value
            assert found[index] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5, abs=1e-9), (name, index)


@each_phase
def test_a_phase_leaves_the_gradients_of_frozen_networks_alone(phase):
    model = model_of()
    grads, phase = model.store.like(), phase_of(model, phase)
    own = {name: grads.tree[name] for name in phase.trains}
    model.phase_terms(phase, {"x": X}, None, 0, 0, grads=own)
    for name, gradient in grads.named.items():
        assert bool(np.abs(gradient).max()) == (name.split(".")[0] in TRAINED[phase.name]), name


@each_phase
def test_a_phase_moves_what_it_trains_alone(phase):
    model = model_of()
    before = {name: value.copy() for name, value in model.named_parameters().items()}
    step = Step(model, tinyae.optim.SGD(0.1), phase=phase_of(model, phase))
    step.gradients({"x": X}, Noise(0))
    step.update()
    moved = {name.split(".")[0] for name, value in model.named_parameters().items() if (value != before[name]).any()}
    assert moved == TRAINED[phase]


def test_what_drops_out_in_each_phase():
    """The discriminator judges codes of the encoder in evaluation mode, without dropout; all else is in training."""
    model = AAE((3, 3, 1), 2, network="reference")
    asked = {}
    for phase in model.phases:
        given = model._given({})
        model.phase_terms(phase, {"x": X.astype("float32")}, given, 0, 0)
        asked[phase.name] = {name.removeprefix(f"{phase.name}.") for name in given.asked}
    encoder, discriminator = {"encoder.2.keep", "encoder.5.keep"}, {"discriminator.1.keep", "discriminator.4.keep"}
    assert asked["reconstruction"] == encoder | {"decoder.1.keep", "decoder.4.keep"}
    sides = {f"{side}.{name}" for side in ("real", "fake") for name in discriminator}
    assert asked["discriminator"] == sides | {"prior.z"}
    assert asked["generator"] == encoder | discriminator


@each_phase
def test_parameters_that_change_between_forward_and_backward_are_noticed(phase, monkeypatch):
    model = model_of()

    def and_move(function):
        def moved(*args, **options):
            model.store.version += 1
            return function(*args, **options)

        return moved

    for name in ("discriminator_loss", "generator_loss"):
        monkeypatch.setattr(adversarial, name, and_move(getattr(adversarial, name)))
    model.loss_function = and_move(model.loss_function)
    with pytest.raises(StaleParamsError):
        model.phase_terms(phase_of(model, phase), {"x": X}, None, 0, 0, grads=model.store.like().tree)


@told
@each_phase
def test_parts_of_a_batch_add_up(phase, classes):
    model = model_of(classes=classes, prior="swiss-roll")
    phase, batch, results = phase_of(model, phase), batch_of(model), []
    for cuts in ([slice(0, 6)], [slice(0, 2), slice(2, 6)]):
        grads, total = model.store.subset(phase.trains).like(), 0.0
        for part in cuts:
            rng = Noise(3).rows(part.start, part.stop, 6)
            rows = {name: values[part] for name, values in batch.items()}
            terms, _ = phase.run(model, model.prepare(rows), rng, grads.tree, batch_size=6)
            total += terms[phase.objective]
        results.append([total, grads.named])
    assert_same(*results, 1e-13)


def test_a_planted_error_is_noticed(monkeypatch):
    def wrong(fake, batch_size=None):
        loss, dfake = right(fake, batch_size)
        return loss, -dfake

    right = adversarial.generator_loss
    assert gradcheck(model_of()).passed
    monkeypatch.setattr(adversarial, "generator_loss", wrong)
    assert not gradcheck(model_of()).passed


# Codes and samples


@told
def test_encode_decode_and_sample(classes):
    model = model_of(classes=classes, prior="uniform", scale=0.5)
    z = model.encode(X)
    np.testing.assert_allclose(z, mlp(model.named_parameters(), "encoder", X), rtol=1e-12)
    np.testing.assert_array_equal(model.reconstruct(X), model.decode(z))
    assert model.label_arguments(LABELS) == {}, "the label reaches the discriminator alone"
    codes = model.draw_prior(50, seed=2)
    np.testing.assert_array_equal(codes, model.draw_prior(50, seed=2))
    assert np.abs(codes).max() < 1 and (codes != model.draw_prior(50, seed=3)).all()
    np.testing.assert_array_equal(model.sample(50, seed=2), model.decode(codes))


def test_samples_of_a_class_come_from_its_region():
    model = model_of(classes=4, prior="uniform")
    codes = model.draw_prior(100, labels=2)
    assert 0 < codes[:, 0].min() and codes[:, 0].max() < 1, "the third of four stripes of (-2, 2)"
    np.testing.assert_array_equal(model.sample(3, labels=[2, 2, 2]), model.sample(3, labels=2))
    np.testing.assert_array_equal(model.sample(3, labels=2), model.decode(codes[:3]))


# Training


@pytest.fixture(scope="module")
def digits():
    train = tinyae.data.load("digits").train
    return train.x[:300], train.labels[:300]


def of_digits(**options):
    """At rates with which a thousand steps are enough."""
    return AAE((8, 8, 1), hidden=(64,), units=(64, 64), discriminator_rate=2.0, generator_rate=1.0, **options)


def test_codes_take_the_priors_place(digits):
    """All are in the square, or nearly so, and each ninth of it has its own."""
    model = of_digits(prior="uniform", scale=0.5)
    history = fit(model, digits[0], epochs=150, batch_size=50, lr=2e-3, progress=False)
    z = model.encode(digits[0])
    assert (np.abs(z) < 1.25).all(axis=1).mean() > 0.95
    cells, _, _ = np.histogram2d(*z.T, bins=3, range=[(-1, 1)] * 2)
    assert cells.min() > 0.02 * len(z)
    losses = [record["train"]["loss"] for record in history.records]
    assert losses[-1] < 0.6 * losses[0]


def test_the_default_spreads_its_codes_over_the_prior(digits):
    """With a generator twice as fast as the discriminator they have a tenth of its spread, and stay there."""
    model = AAE((8, 8, 1))
    fit(model, tinyae.data.load("digits").train.x[:600], epochs=30, batch_size=100, progress=False)
    z = model.encode(digits[0])
    assert (z.std(axis=0) > 0.6).all() and match(z, model.draw_prior(len(z)))["holes"] < 0.6


def test_codes_go_to_the_region_of_their_label(digits):
    x, labels = digits
    model, known = of_digits(prior="ring", classes=10), np.where(np.arange(300) % 3, labels, -1)
    fit(model, (x, known), epochs=150, batch_size=50, lr=2e-3, progress=False)
    angles = np.arctan2(*model.encode(x).T[::-1]) / (2 * math.pi) % 1
    right = np.rint(10 * angles) % 10 == labels
    assert right[known >= 0].mean() > 0.8 and right[known < 0].mean() > 0.5


@pytest.mark.parametrize("killed_at", (2, 8))
def test_a_run_killed_within_an_epoch_ends_on_the_same_bits(killed_at, digits, tmp_path):
    def make():
        return AAE((8, 8, 1), 4, network="reference", scale=5.0)

    options = dict(epochs=2, batch_size=60, lr=1e-3, checkpoint_every=0.0)
    whole = make()
    expected = fit(whole, digits[0], progress=False, **options)
    with pytest.raises(Killed):
        fit(make(), digits[0], out=tmp_path, progress=KilledAt(killed_at), **options)
    resumed = make()
    history = fit(resumed, digits[0], out=tmp_path, resume=True, progress=False, **options)
    assert history.records == expected.records and history.steps == 10
    np.testing.assert_array_equal(resumed.store.flat, whole.store.flat)
    np.testing.assert_array_equal(tinyae.load(tmp_path).sample(3), whole.sample(3))


def test_any_number_of_threads_gives_the_same_bits(digits):
    flats = []
    for threads in (1, 2, 3):
        model = of_digits(classes=10)
        fit(model, digits, epochs=1, batch_size=150, threads=threads, progress=False)
        flats.append(model.store.flat)
    np.testing.assert_array_equal(flats[1], flats[0])
    np.testing.assert_array_equal(flats[2], flats[0])


# What is refused


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(prior="rings"), ConfigError, "unknown prior 'rings': did you mean 'ring'?"),
        (dict(network="big"), ConfigError, "unknown network 'big': known: small, reference"),
        (dict(prior="ring", latent_dim=3), ConfigError, "prior ring has 2 dimensions, latent_dim is 3"),
        (dict(classes=-1), ConfigError, "classes: expected an integer from 0 to 16777216, got -1"),
        (dict(classes=3, latent_dim=1), ConfigError, "prior gaussian has regions for labels from 2 dimensions on"),
        (dict(scale=-1.0), ConfigError, "scale: expected a number above 0, got -1.0"),
        (dict(loss="bcee"), ConfigError, "unknown loss 'bcee': did you mean 'bce'"),
    ],
)
def test_options_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message) as caught:
        AAE(**SMALL | options)
    assert "\n" not in str(caught.value)


def test_labels_that_cannot_be():
    model = model_of(classes=3)
    with pytest.raises(ConfigError, match="aae needs labels: a batch is a dict with 'x' and 'labels'"):
        model.loss({"x": X})
    with pytest.raises(ConfigError, match="give labelled data, or leave classes out"):
        fit(model, X, progress=False)
    with pytest.raises(DataError, match="aae has 3 classes, so labels are 0 to 2, or -1 if unknown, got -1 to 3"):
        model.loss({"x": X, "labels": np.array([0, 1, 2, 3, -1, 0])})
    with pytest.raises(ShapeError, match="expected a label for each of 4 examples"):
        model.sample(4, labels=[1, 2])
    with pytest.raises(ConfigError, match="aae was trained without labels: leave them out"):
        model_of().sample(4, labels=1)
    assert models.CVAE((3, 3, 1), classes=3).labels.least == 0
