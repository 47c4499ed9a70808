"""The mixture prior: its KLs against loops, special cases and Monte Carlo; then what `mixture-vae` promises."""

import math

import numpy as np
import oracles
import pytest
from devices import assert_same
from hypothesis import given
from hypothesis import strategies as st

from tinyae import models
from tinyae.errors import ConfigError, ShapeError
from tinyae.latent import gaussian, mixture

DTYPES = ("float32", "float64")
SMALL = dict(input_shape=(4, 4, 1), latent_dim=2, classes=3, channels=(2,), units=4)


def draw(seed, n=4, d=3, k=5, dtype="float64"):
    rng = np.random.default_rng(seed)
    shapes = {"z": (n, d), "logvar": (n, d), "logits": (n, k), "means": (k, d)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def images(n, shape=(4, 4, 1), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


# latent/mixture.py


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_kls_are_the_loops(seed, n, d, k):
    arrays = draw(seed, n, d, k)
    kl, *gradients = mixture.kl_to_mixture(**arrays)
    assert kl == pytest.approx(oracles.kl_to_mixture(**arrays), rel=1e-12, abs=1e-13)
    assert [g.shape for g in gradients] == [a.shape for a in arrays.values()]
    kl, gradient = mixture.kl_to_uniform(arrays["logits"])
    assert kl == pytest.approx(oracles.kl_to_uniform(arrays["logits"]), rel=1e-12, abs=1e-14)
    assert gradient.shape == (n, k)


def test_the_mean_over_draws_is_the_kl_between_the_joints():
    """E_q(z|x) of both parts is KL(q(z|x) q(y|z) || p(y) p(z|y)), within five standard errors, q(y|z) linear in z."""
    rng, n = np.random.default_rng(3), 100_000
    mu, logvar = np.array([[0.4, -0.2]]), np.array([[-0.5, 0.3]])
    means, weight = rng.normal(size=(4, 2)), rng.normal(size=(2, 4))
    z, _ = gaussian.sample(mu, logvar, rng.normal(size=(n, 2)))
    log_q = mixture.softmax(z @ weight)[1]
    y = (np.exp(log_q).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, 3)
    log_q_joint = gaussian.log_density(z, mu, logvar) + log_q[np.arange(n), y]
    log_p_joint = math.log(1 / 4) + gaussian.log_density(z, means[y], np.zeros((1, 2)))
    ratio = log_q_joint - log_p_joint
    found = mixture.kl_to_mixture(z, np.tile(logvar, (n, 1)), z @ weight, means)[0]
    found += mixture.kl_to_uniform(z @ weight)[0]
    assert found == pytest.approx(ratio.mean(), abs=5 * ratio.std() / math.sqrt(n))


def test_one_class_is_the_kl_to_its_mean():
    """The mean over z of the one class's KL is the closed form: here over the eight corners mu +- sigma."""
    mu, logvar, means = np.array([[0.3, -1.0, 0.5]]), np.array([[0.2, -0.4, 1.0]]), np.array([[1.0, 0.0, -0.5]])
    corners = np.array(list(np.ndindex(2, 2, 2))) * 2.0 - 1
    z = mu + np.exp(logvar / 2) * corners  # its mean and variance are exact, so the mean of a square is too
    kl = mixture.kl_to_mixture(z, np.tile(logvar, (8, 1)), np.zeros((8, 1)), means)[0]
    assert kl == pytest.approx(gaussian.kl_to_mean(mu, logvar, means)[0], rel=1e-13)


def test_certain_classes_leave_the_distance_to_their_mean():
    arrays = draw(1) | {"logits": 1e4 * np.eye(5)[[0, 2, 4, 2]]}
    kl, _, _, dlogits, dmeans = mixture.kl_to_mixture(**arrays)
    expected = 0.5 * ((arrays["z"] - arrays["means"][[0, 2, 4, 2]]) ** 2 - 1 - arrays["logvar"]).sum() / 4
    assert kl == pytest.approx(expected, rel=1e-13)
    np.testing.assert_array_equal(dlogits, 0)
    np.testing.assert_array_equal(dmeans[[1, 3]], 0)
    assert mixture.kl_to_uniform(arrays["logits"])[0] == pytest.approx(math.log(5), rel=1e-14)


def test_undecided_classes_are_the_prior():
    kl, dlogits = mixture.kl_to_uniform(np.full((3, 7), 2.5))
    assert kl == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(dlogits, 0, atol=1e-16)


@pytest.mark.parametrize("dtype", DTYPES)
def test_kls_keep_the_dtype(dtype):
    arrays = draw(2, dtype=dtype)
    results = (*mixture.kl_to_mixture(**arrays), *mixture.kl_to_uniform(arrays["logits"]))
    assert {value.dtype for value in results} == {np.dtype(dtype)}


@given(st.integers(1, 4), st.integers(1, 4))
def test_shards_sum_to_the_whole(first, second):
    arrays, n = draw(7, n=first + second), first + second
    means, logits = arrays.pop("means"), arrays["logits"]
    whole = mixture.kl_to_mixture(**arrays, means=means)
    rows = slice(first), slice(first, None)
    parts = [mixture.kl_to_mixture(*(a[r] for a in arrays.values()), means, batch_size=n) for r in rows]
    for i, expected in enumerate(whole):
        join = sum if i in (0, 4) else np.concatenate  # the loss and dmeans add up, the others are by example
        np.testing.assert_allclose(join([part[i] for part in parts]), expected, rtol=1e-12, atol=1e-14)
    uniform = sum(mixture.kl_to_uniform(logits[r], batch_size=n)[0] for r in rows)
    assert uniform == pytest.approx(mixture.kl_to_uniform(logits)[0], rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_backends_agree(dtype, gpu):
    arrays = draw(8, dtype=dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    on_device = gpu.array(arrays)
    assert_same(gpu.host(list(mixture.kl_to_mixture(**on_device))), list(mixture.kl_to_mixture(**arrays)), tolerance)
    got, expected = (list(mixture.kl_to_uniform(a["logits"])) for a in (on_device, arrays))
    assert_same(gpu.host(got), expected, tolerance)


# mixture-vae


def test_the_reference_architecture():
    """conv 32, 32, 64, 64 of strides 2, 1, 2, 1, z = 20, classifier 20-256-10, ten means."""
    shapes = {name: w.shape for name, w in models.MixtureVAE().named_parameters().items()}
    kernels = [s for name, s in shapes.items() if name.startswith("encoder") and len(s) == 4]
    assert kernels == [(3, 3, 1, 32), (3, 3, 32, 32), (3, 3, 32, 64), (3, 3, 64, 64)]
    assert shapes["classifier.0.weight"] == (20, 256) and shapes["classifier.2.weight"] == (256, 10)
    assert shapes["means.weight"] == (10, 20)
    convolutions = 320 + 9_248 + 18_496 + 36_928
    heads, classifier, means = 3136 * 40 + 40, 20 * 256 + 256 + 256 * 10 + 10, 200
    up = 20 * 3136 + 3136 + 2 * 36_928 + 18_464 + 9_248 + 289
    assert models.MixtureVAE().param_count == convolutions + heads + classifier + means + up == 366_331


def test_the_reference_weight_of_the_reconstruction():
    """sigma^2 = 0.4 is the reference's loss, 2.5 times half the squared error, but for the density's constant."""
    model, x = models.MixtureVAE(), images(3, (28, 28, 1))
    noise = {"z": np.zeros((3, 20))}
    out = model.reconstruct(x)
    expected = 2.5 * 0.5 * ((out - x / 255) ** 2).sum() / 3 + 784 / 2 * math.log(2 * math.pi * 0.4)
    assert float(model.loss({"x": x}, noise)["reconstruction"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", ((5, 7, 3), (28, 28, 1), (1, 2, 1)))
def test_images_of_any_size(shape):
    model = models.MixtureVAE(input_shape=shape, channels=(2, 3), units=4)
    assert model.reconstruct(images(2, shape)).shape == (2, *shape)


def test_terms_add_up_to_the_loss():
    terms = models.MixtureVAE(**SMALL, dtype="float64").loss({"x": images(5)})
    assert float(terms["loss"]) == pytest.approx(sum(float(terms[t]) for t in ("reconstruction", "kl_z", "kl_y")))


def test_clusters_are_the_most_probable_classes():
    model, x = models.MixtureVAE(**SMALL), images(40)
    q = model.probabilities(x)
    assert q.shape == (40, 3)
    np.testing.assert_allclose(q.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.cluster(x), q.argmax(axis=1))


def test_samples_lie_around_the_means_of_their_classes():
    """A decoder that shows the code: z - means[y] then has mean 0 and variance 1."""
    model = models.MixtureVAE(**SMALL, dtype="float64")
    model._decode = lambda z: z
    means = model.named_parameters()["means.weight"]
    means[...] = [[-50, 0], [0, 50], [50, 50]]
    for label in range(3):
        offset = model.sample(4000, seed=1, labels=label) - means[label]
        np.testing.assert_allclose(offset.mean(axis=0), 0, atol=0.1)
        np.testing.assert_allclose(offset.std(axis=0), 1, atol=0.1)
    labels = np.array([2, 0, 1, 1])
    assert (np.abs(model.sample(4, labels=labels) - means[labels]) < 6).all()
    nearest = ((model.sample(3000)[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_allclose(np.bincount(nearest) / 3000, 1 / 3, atol=0.05)


@pytest.mark.parametrize("labels", ([0, 1], 0.5, 3, -1))
def test_samples_of_no_class_are_refused(labels):
    with pytest.raises((ConfigError, ShapeError), match="^mixture-vae: .*labels"):
        models.MixtureVAE(**SMALL).sample(3, labels=labels)


def test_the_picture_of_clusters_shows_the_surest_and_the_drawn(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    from tinyae.plot import cluster_sheet

    shown = {}
    monkeypatch.setattr(
        cluster_sheet, "grid", lambda path, images, columns, **words: shown.update(words, images=images)
    )
    model, x, labels = models.MixtureVAE(**SMALL), images(50), np.arange(50) % 2
    model.probabilities = lambda x: np.stack((0.5 + x, 0.5 - x, 0 * x), axis=1)[:, :, 0, 0, 0] / 255  # by a pixel
    cluster_sheet.clusters(tmp_path / "c.png", model, (x / 255).astype("float32"), labels, ("even", "odd"))
    rows = shown["images"].reshape(3, 15, 4, 4, 1)
    surest = np.argsort(-x[:, 0, 0, 0].astype(int), kind="stable")[:6]
    np.testing.assert_array_equal(rows[0, :6], x[surest])
    assert (rows[1:, :7] == 255).all() and (rows[:, 6] == 255).all(), "blank where nothing was given, and the gap"
    for k in range(3):
        drawn = np.rint(255 * np.clip(model.sample(8, 0, labels=k), 0, 1))
        np.testing.assert_array_equal(rows[k, 7:], drawn)
    assert shown["row_labels"] == ["0: 100% of all\nmostly even, 50%", "1: 0% of all", "2: 0% of all"]


def test_two_blobs_are_told_apart():
    """Dark and bright images, no labels given: after a short training the classes are the two kinds."""
    import tinyae

    rng = np.random.default_rng(0)
    kind = rng.permutation(np.arange(200) % 2)
    x = (0.1 + 0.7 * kind[:, None, None, None] + 0.1 * rng.random((200, 4, 4, 1))).astype("float32")
    model = models.MixtureVAE(**SMALL | {"classes": 2}, sigma=0.1)
    tinyae.fit(model, x, epochs=60, batch_size=50, lr=5e-3, progress=False)
    agreement = (model.cluster(x) == kind).mean()
    assert max(agreement, 1 - agreement) > 0.99
