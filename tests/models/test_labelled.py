"""cvae and class-mean-vae: what the label reaches, what comes out for it, and what is said where it is missing."""

import math

import numpy as np
import oracles
import pytest
from devices import assert_same
from steps import run

import tinyae
from tinyae import data, fit, models
from tinyae.errors import ConfigError, DataError, ShapeError
from tinyae.evaluation.likelihood import importance_weighted
from tinyae.training.monitors import PosteriorCollapse

SMALL = dict(input_shape=(4, 3, 1), hidden=(6,), latent_dim=2, classes=3, dtype="float64")
X = np.random.default_rng(0).random((7, 4, 3, 1))
LABELS = np.array([0, 1, 2, 2, 1, 0, 1])
MAKES = (models.CVAE, models.ClassMeanVAE)
both = pytest.mark.parametrize("make", MAKES, ids=lambda make: make.name)


def model_of(make, **options):
    model = make(**SMALL | options)
    model.store.flat[...] = 0.5 * np.random.default_rng(1).normal(size=model.param_count)
    return model


def test_parameter_counts():
    assert models.ClassMeanVAE().param_count == 404_266 == models.VAE().param_count + 10 * 2 + 2
    encoder = 794 * 512 + 512 + 512 * 256 + 256 + 256 * 8 + 8
    decoder = 14 * 256 + 256 + 256 * 512 + 512 + 512 * 784 + 784
    assert models.CVAE().param_count == encoder + decoder


@both
def test_the_loss_is_the_definition(make):
    """Minus log p(x|z, y) plus the KL from its closed form by loops, at a given draw."""
    model, noise = model_of(make), np.random.default_rng(2).normal(size=(7, 2))
    total = 0.0
    for n, y in enumerate(LABELS):
        one_hot = np.eye(3)[y]
        x = X[n].ravel()
        inputs = np.concatenate((x, one_hot)) if make is models.CVAE else x
        h = model.apply("encoder", inputs[None] if make is models.CVAE else X[n : n + 1])[0]
        mu, logvar = h[:2], h[2:]
        z = mu + np.exp(logvar / 2) * noise[n]
        code = np.concatenate((z, one_hot)) if make is models.CVAE else z
        logits = model.apply("decoder", code[None]).ravel()
        mean = model.class_means[y] if make is models.ClassMeanVAE else np.zeros(2)
        total += oracles.bce_with_logits(logits[None], x[None])
        total += oracles.kl_to_mean(mu[None], logvar[None], mean[None])
    terms = model.loss({"x": X, "labels": LABELS}, {"z": noise})
    assert terms["loss"] == pytest.approx(total / 7, rel=1e-12)
    assert terms["loss"] == pytest.approx(terms["reconstruction"] + terms["kl"], rel=1e-14)


def test_the_class_means_are_the_priors_dense_layer():
    model = model_of(models.ClassMeanVAE)
    p = model.named_parameters()
    np.testing.assert_allclose(model.class_means, p["prior.weight"] + p["prior.bias"], rtol=1e-14)


@both
def test_parts_sum_to_the_whole(make):
    model, noise = model_of(make), np.random.default_rng(0).normal(size=(7, 2))
    whole, expected = model.loss_and_grads({"x": X, "labels": LABELS}, {"z": noise})
    grads, losses = model.store.like(), []
    for rows in (slice(3), slice(3, None)):
        rng = model.backend.noise(0, 0, {"z": noise[rows]})
        batch = model.prepare({"x": X[rows], "labels": LABELS[rows]})
        losses.append(run(model, batch, rng, grads.tree, batch_size=7)[0]["loss"])
    assert sum(losses) == pytest.approx(whole["loss"], rel=1e-13)
    assert_same(grads.named, expected, 1e-13)


def test_the_label_reaches_encoder_and_decoder_of_the_cvae():
    model = model_of(models.CVAE)
    z = model.encode(X, LABELS)
    assert (z != model.encode(X, (LABELS + 1) % 3)).all()
    assert (model.decode(z, LABELS) != model.decode(z, (LABELS + 1) % 3)).all()
    np.testing.assert_array_equal(model.reconstruct(X, LABELS), model.decode(z, LABELS))
    assert model.decode(z, LABELS).shape == X.shape
    assert model.label_arguments(LABELS).keys() == {"labels"}


def test_the_label_reaches_neither_network_of_the_class_mean_vae():
    model, twin = model_of(models.ClassMeanVAE), models.VAE(**{k: v for k, v in SMALL.items() if k != "classes"})
    twin.store.flat[...] = model.store.flat[: twin.param_count]
    np.testing.assert_array_equal(model.encode(X), twin.encode(X))
    np.testing.assert_array_equal(model.reconstruct(X), twin.reconstruct(X))
    assert model.label_arguments(LABELS) == {}


@both
def test_samples_by_label(make):
    model = model_of(make)
    assert model.sample(5, seed=1).shape == (5, 4, 3, 1)
    np.testing.assert_array_equal(model.sample(5, seed=1), model.sample(5, seed=1, labels=[0, 1, 2, 0, 1]))
    np.testing.assert_array_equal(model.sample(4, labels=2), model.sample(4, labels=[2, 2, 2, 2]))
    assert (model.sample(4, labels=1) != model.sample(4, labels=2)).all(), "one style, two labels"
    assert (model.sample(4, seed=1, labels=1) != model.sample(4, seed=2, labels=1)).any()


@both
def test_across_is_each_style_under_every_label(make):
    model, z = model_of(make), np.random.default_rng(3).normal(size=(4, 2))
    images = model.across(z)
    assert images.shape == (4, 3, 4, 3, 1)
    for label in range(3):
        np.testing.assert_allclose(images[:, label], model.styled(z, np.full(4, label)), rtol=1e-12)


@both
def test_the_own_style_under_the_own_label_is_the_reconstruction(make):
    model = model_of(make)
    back = model.styled(model.style(X, LABELS), LABELS)
    np.testing.assert_allclose(back, model.reconstruct(X, **model.label_arguments(LABELS)), rtol=1e-12)


def test_class_mean_samples_lie_around_their_mean():
    model = model_of(models.ClassMeanVAE)
    noise = model.backend.noise(4).normal("sample", (6, 2), "float64")
    np.testing.assert_allclose(model.sample(6, seed=4, labels=1), model.decode(model.class_means[1] + noise))


@both
def test_kl_per_dimension_adds_up_to_the_term(make):
    model = model_of(make)
    each = model.kl_per_dimension(X, LABELS)
    assert each.shape == (2,)
    assert each.sum() == pytest.approx(model.loss({"x": X, "labels": LABELS})["kl"], rel=1e-12)


@both
def test_importance_sampling_agrees_with_an_integral_over_the_plane(make):
    """log p(x|y) of a two-dimensional code, by a sum over a fine grid. Near the prior, few draws do."""
    model = model_of(make)
    for name, w in model.named_parameters().items():
        w *= 0.1 if name.startswith("encoder") else 1
    edge, step = np.linspace(-9, 9, 181, retstep=True)
    z = np.stack(np.meshgrid(edge, edge), axis=-1).reshape(-1, 2)
    exact = []
    for n, y in enumerate(LABELS[:3]):
        batch = {"x": X[n : n + 1].repeat(len(z), axis=0), "labels": np.full(len(z), y)}
        joint = model.log_likelihood(batch, z) + model.log_prior(batch, z)
        exact.append(math.log(np.exp(joint).sum() * step**2))
    found = importance_weighted(model, X[:3], 3000, LABELS[:3])
    np.testing.assert_allclose(found.values, exact, atol=0.04)


# training


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def trainings(digits):
    """{class: (model, history)}."""
    made = {make: make(input_shape=(8, 8, 1), hidden=(64,), latent_dim=4) for make in MAKES}
    options = dict(epochs=40, batch_size=64, lr=0.005, progress=False, threads=1)
    return {make: (model, fit(model, digits, **options)) for make, model in made.items()}


@pytest.fixture(params=MAKES, ids=lambda make: make.name)
def trained(request, trainings):
    return trainings[request.param]


def nearest_class_mean(digits, images):
    train = digits.train
    means = np.stack([train.x[train.labels == c].mean(axis=0) for c in range(10)]) / 255
    distance = ((images[:, None] - means) ** 2).reshape(len(images), 10, -1).sum(axis=2)
    return distance.argmin(axis=1)


def test_samples_are_of_their_class(trained, digits):
    labels = np.arange(200) % 10
    found = nearest_class_mean(digits, trained[0].sample(200, labels=labels))
    assert (found == labels).mean() > 0.75


def test_one_style_keeps_its_class_under_each_label(trained, digits):
    model, test = trained[0], digits.test
    images = model.across(model.style(test.x[:30], test.labels[:30]))
    found = nearest_class_mean(digits, images.reshape(-1, 8, 8, 1)).reshape(30, 10)
    assert (found == np.arange(10)).mean() > 0.6


def test_the_history_has_the_kl_per_dimension(trained):
    model, history = trained
    last = history.records[-1]
    assert len(last["kl_per_dimension"]) == 4
    assert sum(last["kl_per_dimension"]) == pytest.approx(last["test"]["kl"], rel=0.05)


def test_labels_are_kept_through_save_and_load(trained, digits, tmp_path):
    model, _ = trained
    model.save(tmp_path / "model.npz")
    again = tinyae.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.sample(20, labels=3), model.sample(20, labels=3))


def test_codes_of_a_class_gather_around_its_mean(trainings, digits):
    model, _ = trainings[models.ClassMeanVAE]
    distance = ((model.encode(digits.train.x)[:, None] - model.class_means) ** 2).sum(axis=2)
    assert (distance.argmin(axis=1) == digits.train.labels).mean() > 0.8


# refusals


@both
@pytest.mark.parametrize(
    "labels, error, message",
    [
        (None, ConfigError, "needs labels, and there are none"),
        (LABELS + 1, DataError, "has 3 classes, so labels are 0 to 2, got 1 to 3"),
        (LABELS - 1, DataError, "got -1 to 1"),
        (LABELS / 2, DataError, "got float64"),
        (LABELS[:-1], ShapeError, r"a label for each of 7 examples, got shape \(6,\)"),
        (LABELS[:, None], ShapeError, r"got shape \(7, 1\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused_in_one_line(make, labels, error, message):
    model = model_of(make)
    calls = [lambda: model.sample(7, labels=labels)] if labels is not None else []
    calls += [lambda: model.style(X, labels), lambda: model.styled(np.zeros((7, 2)), labels)]
    if labels is None or len(labels) == 7:
        calls.append(lambda: fit(model, (X, labels), epochs=1, progress=False))
    if make is models.CVAE:
        calls += [lambda: model.encode(X, labels), lambda: model.decode(np.zeros((7, 2)), labels)]
        calls.append(lambda: model.reconstruct(X, labels))
    if labels is not None:
        calls.append(lambda: model.loss_and_grads({"x": X, "labels": labels}))
    for call in calls:
        with pytest.raises(error, match=f"^{make.name}.*{message}") as caught:
            call()
        assert "\n" not in str(caught.value)


@both
def test_a_batch_without_labels_is_refused(make):
    with pytest.raises(ConfigError, match=f"^{make.name} needs labels: a batch is a dict with 'x' and 'labels'"):
        model_of(make).loss_and_grads({"x": X})


@both
@pytest.mark.parametrize("classes", (0, 2.5, (3,), "ten"))
def test_the_number_of_classes_is_a_whole_number(make, classes):
    with pytest.raises(ConfigError, match="^classes: expected"):
        make(classes=classes)


@both
def test_codes_of_another_width_are_refused(make):
    with pytest.raises(ShapeError, match=r"expected codes of shape \(N, 2\)"):
        model_of(make).styled(np.zeros((3, 5)), [0, 1, 2])


# the KL per dimension, in every VAE


def test_collapsed_dimensions_are_named_at_the_end_of_a_training(digits, capsys):
    model = models.BetaVAE(input_shape=(8, 8, 1), hidden=(16,), latent_dim=4, beta=100.0)
    options = dict(batch_size=16, lr=0.01, threads=1)
    fit(model, digits.train.x[:512], epochs=3, **options)
    assert "collapse" not in capsys.readouterr().err, "96 steps say nothing yet"
    fit(model, digits.train.x[:512], epochs=16, **options)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        "posterior collapse: 4 of 4 dimensions of the code (z1, z2, z3, z4) are unused, with a KL below 0.01 nats. A "
        "lower beta, warmup=linear or free_bits may prevent it"
    )


def test_a_weight_of_the_kl_that_still_rises_is_waited_for(digits, capsys):
    model = models.BetaVAE(
        input_shape=(8, 8, 1), hidden=(8,), latent_dim=2, beta=100.0, warmup="linear", warmup_steps=513
    )
    fit(model, digits.train.x[:512], epochs=16, batch_size=16, lr=0.01, threads=1)
    assert "collapse" not in capsys.readouterr().err


def test_a_dimension_in_use_is_not_named():
    model = PosteriorCollapse(models.VAE())
    assert model.warnings({"kl_per_dimension": [3.0, 0.011]}) == []
    (said,) = model.warnings({"kl_per_dimension": [3.0] * 16 + [0.009] + [3.0] * 3})
    assert said.startswith("posterior collapse: 1 of 20 dimensions of the code (z17) are unused, with a KL below 0.01")
    (said,) = model.warnings({"kl_per_dimension": [0.0] * 12})
    assert said.startswith("posterior collapse: 12 of 12 dimensions of the code (z1, z2, z3, z4, z5, z6, z7, z8, z9, ")
    assert model.warnings({}) == []


def test_the_report_looks_at_examples_from_end_to_end():
    """Data in the order of their classes: the first examples alone would know one class."""
    from tinyae.backend import Backend
    from tinyae.training.feed import Feed

    feed = Feed(np.arange(1000.0)[:, None], np.arange(1000) // 100, Backend(), 10, 0)
    batch = feed.evenly_spaced(64)
    assert len(batch["x"]) <= 64 and set(batch["labels"]) == set(range(10))
    np.testing.assert_array_equal(batch["x"][:, 0] // 100, batch["labels"])
    assert len(feed.evenly_spaced(5000)["x"]) == 1000
