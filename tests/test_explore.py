"""Walks between codes, along dimensions and attributes, and planes: against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyae import explore
from tinyae.errors import ConfigError, DataError, ShapeError
from tinyae.latent import gaussian
from tinyae.models import AE, CVAE, VAE, ClassMeanVAE, MixtureVAE

seeds, sizes = st.integers(0, 2**32), st.integers(2, 30)
WALKS = explore.linear, explore.spherical


def draw(seed, *shape, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def angle(a, b):
    """In float64, by the half-angle formula, which keeps small angles."""
    a, b = (np.asarray(v, np.float64) / np.linalg.norm(np.asarray(v, np.float64)) for v in (a, b))
    return 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))


# between two codes


@pytest.mark.parametrize("walk", WALKS)
@given(seeds, st.integers(1, 30), st.integers(1, 12))
def test_a_walk_begins_and_ends_exactly_there(walk, seed, size, count):
    start, end = draw(seed, 2, size)
    path = walk(start, end, count)
    assert path.shape == (count, size) and path.dtype == np.float32
    np.testing.assert_array_equal(path[0], start)
    if count > 1:
        np.testing.assert_array_equal(path[-1], end)


@given(seeds, sizes)
def test_a_straight_walk_has_equal_steps(seed, size):
    start, end = draw(seed, 2, size, dtype="float64")
    np.testing.assert_allclose(np.diff(explore.linear(start, end, 6), axis=0), [(end - start) / 5] * 5, atol=1e-12)


@given(seeds, sizes)
def test_a_walk_on_the_sphere_is_slerp(seed, size):
    """Shoemake's formula for equal norms, whatever the direction; the norm stays."""
    start, end = draw(seed, 2, size, dtype="float64")
    end *= np.linalg.norm(start) / np.linalg.norm(end)
    theta, t = angle(start, end), np.linspace(0, 1, 7)[:, None]
    expected = (np.sin((1 - t) * theta) * start + np.sin(t * theta) * end) / np.sin(theta)
    path = explore.spherical(start, end, 7)
    np.testing.assert_allclose(path, expected, atol=1e-6)  # the formula divides by sin(theta), which may be small
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), np.linalg.norm(start), rtol=1e-12)


@given(seeds, sizes, st.floats(0.1, 10))
def test_on_the_sphere_direction_and_norm_change_evenly(seed, size, stretch):
    start, end = draw(seed, 2, size, dtype="float64") * [[1], [stretch]]
    path = explore.spherical(start, end, 6)
    norms = np.linalg.norm(path, axis=1)
    np.testing.assert_allclose(norms, np.linspace(norms[0], norms[-1], 6), rtol=1e-9)
    turns = [angle(a, b) for a, b in zip(path, path[1:], strict=False)]
    np.testing.assert_allclose(turns, angle(start, end) / 5, atol=1e-9)


@pytest.mark.parametrize("dtype, nearly", [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("size", [2, 3, 20])
def test_opposite_codes_are_joined_by_half_a_turn(size, dtype, nearly):
    start = draw(0, size, dtype=dtype)
    for end in (-start, -start * (1 + nearly * draw(1, size, dtype=dtype)).astype(dtype), (-2 * start)):
        path = explore.spherical(start, end, 5)
        norms = np.linalg.norm(path.astype("float64"), axis=1)
        np.testing.assert_allclose(norms, np.linspace(norms[0], norms[-1], 5), rtol=1e-5)
        turns = [angle(a, b) for a, b in zip(path, path[1:], strict=False)]
        np.testing.assert_allclose(turns, np.pi / 4, atol=1e-3)
        np.testing.assert_array_equal(path, explore.spherical(start, end, 5))


@pytest.mark.parametrize("size", [1, 2, 20])
def test_where_nothing_turns_the_walk_is_straight(size):
    code = draw(3, size)
    for start, end in ((code, code), (code, 3 * code), (np.zeros_like(code), code), (code, np.zeros_like(code))):
        np.testing.assert_allclose(
            explore.spherical(start, end, 5), explore.linear(start, end, 5), rtol=1e-6, atol=1e-7
        )
    minus = -2 * draw(3, 1)  # one dimension has no room to turn
    np.testing.assert_array_equal(explore.spherical(draw(3, 1), minus, 5), explore.linear(draw(3, 1), minus, 5))


def test_the_sphere_keeps_the_shell_that_a_line_leaves():
    start, end = draw(5, 2, 400)
    inside, around = (np.linalg.norm(walk(start, end, 3)[1]) for walk in WALKS)
    assert inside < 0.75 * 20 and 0.93 * 20 < around < 1.07 * 20  # sqrt(400) = 20


# along a dimension


def test_dimensions_are_sorted_by_their_kl():
    model = VAE(input_shape=(3, 3, 1), latent_dim=4, hidden=(5,), seed=3)
    x = np.random.default_rng(0).random((30, 3, 3, 1), dtype="float32")
    measured = explore.dimensions(model, x)
    assert measured.measure == "KL"
    assert (np.diff(measured.relevance[measured.order]) <= 0).all() and sorted(measured.order) == [0, 1, 2, 3]
    kl, _, _ = gaussian.kl_standard(*model.posterior(x))
    assert measured.relevance.sum() == pytest.approx(float(kl), rel=1e-5)
    np.testing.assert_array_equal(measured.centre, np.zeros(4))
    np.testing.assert_array_equal(measured.scale, np.ones(4))


def test_a_collapsed_dimension_comes_last():
    model = VAE(input_shape=(3, 3, 1), latent_dim=3, hidden=())
    head = model.store.tree["encoder"]["1"]
    head["weight"][:, [1, 4]], head["bias"][[1, 4]] = 0, 0  # mu and logvar of z2: the prior, whatever x is
    measured = explore.dimensions(model, np.random.default_rng(0).random((9, 3, 3, 1), dtype="float32"))
    assert measured.order[-1] == 1 and measured.relevance[1] == 0


def test_without_a_prior_dimensions_are_sorted_by_their_variance():
    model = AE(input_shape=(3, 3, 1), latent_dim=4, hidden=(5,), seed=3)
    x = np.random.default_rng(0).random((30, 3, 3, 1), dtype="float32")
    measured, codes = explore.dimensions(model, x), model.encode(x)
    assert measured.measure == "variance"
    np.testing.assert_allclose(measured.relevance, codes.var(axis=0), rtol=1e-5)
    np.testing.assert_allclose(measured.centre, codes.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(measured.scale, codes.std(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(measured.order, np.argsort(-codes.var(axis=0)))


def test_where_the_prior_is_a_mixture_its_mean_is_not_the_centre():
    x, labels = np.random.default_rng(0).random((20, 4, 4, 1), dtype="float32"), np.arange(20) % 3
    model = ClassMeanVAE(input_shape=(4, 4, 1), latent_dim=2, classes=3, hidden=(5,))
    measured = explore.dimensions(model, x, labels)
    terms = model.loss({"x": x, "labels": labels})
    assert measured.measure == "KL" and measured.relevance.sum() == pytest.approx(float(terms["kl"]), rel=1e-5)
    np.testing.assert_allclose(measured.centre, model.encode(x).mean(axis=0), rtol=1e-5)
    mixture = MixtureVAE(input_shape=(4, 4, 1), latent_dim=2, classes=3, channels=(2,), units=4)
    assert explore.dimensions(mixture, x).measure == "variance"


def test_measured_with_the_labels_that_a_model_needs():
    x, labels = np.random.default_rng(0).random((20, 3, 3, 1), dtype="float32"), np.arange(20) % 3
    model = CVAE(input_shape=(3, 3, 1), latent_dim=2, classes=3, hidden=(5,))
    measured = explore.dimensions(model, x, labels)
    terms = model.loss({"x": x, "labels": labels})
    assert measured.relevance.sum() == pytest.approx(float(terms["kl"]), rel=1e-5)
    np.testing.assert_array_equal(measured.centre, [0, 0])
    with pytest.raises(ConfigError, match="cvae needs labels"):
        explore.dimensions(model, x)


@given(seeds, st.integers(1, 6), st.integers(1, 4), st.integers(1, 5), st.booleans())
def test_a_traversal_changes_one_dimension(seed, size, chosen, count, each):
    code = draw(seed, size)
    chosen = np.random.default_rng(seed).permutation(size)[:chosen]
    values = draw(seed + 1, len(chosen), count) if each else draw(seed + 1, count)
    walks = explore.traverse(code, chosen, values)
    assert walks.shape == (len(chosen), count, size)
    for k, v in np.ndindex(len(chosen), count):
        expected = code.copy()
        expected[chosen[k]] = values[k, v] if each else values[v]
        np.testing.assert_array_equal(walks[k, v], expected)


# along an attribute


def test_an_attribute_is_the_difference_of_two_means():
    codes, labels = draw(0, 40, 3), np.arange(40) % 4
    direction = explore.attribute(codes, labels == 2)
    np.testing.assert_allclose(direction, codes[labels == 2].mean(axis=0) - codes[labels != 2].mean(axis=0), rtol=1e-6)
    direction = explore.attribute(codes, labels == 2, labels == 1)
    np.testing.assert_allclose(direction, codes[2::4].mean(axis=0) - codes[1::4].mean(axis=0), rtol=1e-6)


def test_an_attribute_that_all_or_none_have_is_refused():
    for having in (np.ones(5, bool), np.zeros(5, bool)):
        with pytest.raises(DataError, match="examples is with"):
            explore.attribute(np.zeros((5, 2)), having)


def test_adding_a_direction_by_strengths():
    codes, direction, strengths = draw(0, 4, 3), draw(1, 3), [0, 1, -0.5]
    moved = explore.add(codes, direction, strengths)
    assert moved.shape == (4, 3, 3) and moved.dtype == np.float32
    for i, s in np.ndindex(4, 3):
        np.testing.assert_allclose(moved[i, s], codes[i] + strengths[s] * direction, rtol=1e-6)
    np.testing.assert_array_equal(moved[:, 0], codes)


def test_the_whole_difference_moves_one_mean_to_the_other():
    codes, labels = draw(0, 40, 3), np.arange(40) % 4
    direction = explore.attribute(codes, labels == 3, labels == 0)
    moved = explore.add(codes[labels == 0], direction, [1])[:, 0]
    np.testing.assert_allclose(moved.mean(axis=0), codes[labels == 3].mean(axis=0), atol=1e-6)


# planes


@pytest.mark.parametrize("chosen", [(0, 1), (3, 1)])
def test_a_plane_has_the_priors_quantiles(chosen):
    points, values = explore.plane(5, 4, chosen)
    np.testing.assert_allclose(values[0], [-1.6449, -0.5978, 0, 0.5978, 1.6449], atol=1e-3)  # at 5, 27.5, 50 ... %
    np.testing.assert_array_equal(values[0], values[1])
    for row, column in np.ndindex(5, 5):
        expected = np.zeros(4)
        expected[chosen[0]], expected[chosen[1]] = values[0, column], values[1, 4 - row]
        np.testing.assert_array_equal(points[row, column], expected)


def test_without_a_prior_a_plane_has_the_codes_quantiles_about_their_mean():
    codes = draw(0, 500, 3) * [1, 10, 2] + [5, 0, 7]
    points, values = explore.plane(3, 3, (1, 0), codes, low=0.1, high=0.9)
    np.testing.assert_allclose(values, np.quantile(codes[:, [1, 0]], [0.1, 0.5, 0.9], axis=0).T)
    np.testing.assert_allclose(points[..., 2], codes[:, 2].mean())
    assert points[0, 0, 0] == values[1, 2] and points[2, 0, 0] == values[1, 0]


@pytest.mark.parametrize("chosen, says", [((0, 3), "dimension 4: vae has dimensions 1 to 3"),
                                          ((1, 1), "two different dimensions, got 2 and 2"),
                                          ((0, 1, 2), "two different dimensions, got 1 and 2 and 3"),
                                          ((-1, 1), "dimension 0: vae has dimensions 1 to 3")])  # fmt: skip
def test_what_is_no_plane_is_refused(chosen, says):
    with pytest.raises(ConfigError, match=says):
        explore.check_plane(VAE(input_shape=(3,), latent_dim=3, hidden=()), chosen)


def test_a_line_is_no_plane():
    with pytest.raises(ConfigError, match="at least two dimensions, ae has 1"):
        explore.check_plane(AE(input_shape=(3,), latent_dim=1, hidden=()), (0, 1))


# with a model


@pytest.mark.parametrize("model_class", [CVAE, ClassMeanVAE])
def test_transfer_keeps_the_style_and_changes_the_label(model_class):
    x, labels = np.random.default_rng(0).random((4, 3, 3, 1), dtype="float32"), np.array([0, 2, 1, 2])
    model = model_class(input_shape=(3, 3, 1), latent_dim=2, classes=3, hidden=(5,))
    images = explore.transfer(model, x, labels, [2, 0])
    assert images.shape == (4, 2, 3, 3, 1)
    back = model.reconstruct(x, **model.label_arguments(labels))
    np.testing.assert_allclose(images[0, 1], back[0], atol=1e-6)
    np.testing.assert_allclose(images[[1, 3], 0], back[[1, 3]], atol=1e-6)
    every = explore.transfer(model, x, labels, [0, 1, 2])
    np.testing.assert_allclose(every, model.across(model.style(x, labels)), atol=1e-6)


def test_transfer_needs_a_model_that_knows_labels():
    model = VAE(input_shape=(3,), hidden=())
    with pytest.raises(ConfigError, match="vae takes no labels to decode a style with"):
        explore.transfer(model, np.zeros((2, 3), "float32"), [0, 1], [0])


def test_each_row_is_decoded_under_its_label():
    model, codes = CVAE(input_shape=(3, 3, 1), latent_dim=2, classes=3, hidden=(5,)), draw(0, 2, 4, 2)
    images = explore.decode(model, codes, np.array([2, 0]))
    for row, label in enumerate((2, 0)):
        np.testing.assert_allclose(images[row], model.decode(codes[row], [label] * 4), atol=1e-6)
    np.testing.assert_array_equal(explore.decode(model, codes, 1)[0], explore.decode(model, codes[:1], 1)[0])


@pytest.mark.parametrize("model_class", [AE, VAE, CVAE])
def test_from_a_device_comes_what_is_on_the_host(model_class, device):
    options = dict(input_shape=(3, 3, 1), latent_dim=3, hidden=(5,)) | ({"classes": 2} if model_class is CVAE else {})
    model, host = model_class(**options, backend=device.backend), model_class(**options)
    x, labels = np.random.default_rng(0).random((6, 3, 3, 1), dtype="float32"), np.arange(6) % 2
    ours, theirs = (explore.dimensions(m, x, labels) for m in (model, host))
    np.testing.assert_allclose(ours.relevance, theirs.relevance, rtol=1e-5)
    codes, _ = explore.plane(2, 3, ours.order[:2], model.encode(x, **model.label_arguments(labels)))
    images = explore.decode(model, codes, 1)
    assert type(images) is np.ndarray and images.shape == (2, 2, 3, 3, 1)
    np.testing.assert_allclose(images, explore.decode(host, codes, 1), atol=1e-6)


# codes of integers, and in other forms than arrays


def test_integer_codes_are_not_truncated():
    for start, end in ((np.array([-2, 0]), np.array([2, 1])), ([-2, 0], [2, 1]), ((-2, 0), (2, 1))):
        expected = [[-2, 0], [-1, 0.25], [0, 0.5], [1, 0.75], [2, 1]]
        np.testing.assert_array_equal(explore.linear(start, end, 5), expected)
    turn = explore.spherical([0, 2], np.array([2, 0]), 3)
    np.testing.assert_allclose(turn, [[0, 2], [2**0.5, 2**0.5], [2, 0]], atol=1e-12)
    walks = explore.traverse(np.array([1, 2]), [1], [0.5, 0.75])
    np.testing.assert_array_equal(walks, [[[1, 0.5], [1, 0.75]]])
    np.testing.assert_array_equal(explore.add(np.array([[1, 2]]), np.array([1, 0]), [0.5, 2]), [[[1.5, 2], [3, 2]]])
    np.testing.assert_array_equal(explore.add([[1, 2]], [1, 0], [0.5]), [[[1.5, 2]]])
    np.testing.assert_array_equal(explore.attribute([[1, 2], [2, 4]], [0, 1]), [1, 2])
    grid, _ = explore.plane(2, 3, centre=[1, 2, 3], low=0.25, high=0.75)
    np.testing.assert_allclose(grid[0, 1], [0.6744898, 0.6744898, 3], atol=1e-7)


def test_a_walk_needs_two_codes_of_one_shape():
    for start, end in (([1.0], [1.0, 2.0]), ([[1.0]], [[2.0]]), (1.0, 2.0)):
        for walk in WALKS:
            with pytest.raises(ShapeError, match=r"^a path needs two codes \(D,\) of one size, got"):
                walk(start, end, 3)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: explore.linear([0, 1], [1, 2], 0), ConfigError, "^count: expected an integer from 1"),
        (lambda: explore.spherical([0, 1], [1, 2], 2.5), ConfigError, "^count: expected an integer from 1"),
        (lambda: explore.linear([0, np.nan], [1, 2], 2), DataError, "^the codes have NaN"),
        (lambda: explore.traverse([1, 2], [2], [0.5]), ConfigError, "^traverse: dimensions are 0 to 1, got 2 to 2$"),
        (lambda: explore.traverse([1, 2], [0.5], [0.5]), ShapeError, "^traverse: expected a code"),
        (
            lambda: explore.traverse([1, 2], [0, 1], [[1], [2], [3]]),
            ShapeError,
            r"got \(2,\), int64 \(2,\) and \(3, 1\)",
        ),
        (lambda: explore.add([[1, 2]], [1, 2, 3], [0.5]), ShapeError, "^add: expected codes"),
        (lambda: explore.attribute([[1, 2], [3, 4]], [True]), ShapeError, "^attribute: expected codes"),
    ],
)
def test_walks_that_lead_nowhere_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
