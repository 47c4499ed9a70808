"""The functions of vector quantisation: against loops, closed forms, and their gradients at frozen codes."""

import inspect
import math

import numpy as np
import pytest
from devices import assert_same
from hypothesis import given
from hypothesis import strategies as st

from tinyae.errors import ShapeError
from tinyae.gradcheck import check_by_name, functions, gradcheck_function
from tinyae.latent import quantize

DTYPES = ("float32", "float64")


def draw(seed, *shape, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def nearest_by_loops(z, codebook):
    """Every distance in exact integers or float64, the first of the smallest."""
    codes = np.empty(z.shape[:-1], np.int64)
    for place in np.ndindex(codes.shape):
        distances = [sum((float(a) - float(b)) ** 2 for a, b in zip(z[place], e, strict=True)) for e in codebook]
        codes[place] = distances.index(min(distances))
    return codes


# codes


@given(st.integers(0, 2**32), st.lists(st.integers(1, 4), max_size=3), st.integers(1, 5), st.integers(1, 9))
def test_nearest_is_brute_force(seed, places, units, count):
    for dtype in DTYPES:
        z, codebook = draw(seed, *places, units, dtype=dtype), draw(seed + 1, count, units, dtype=dtype)
        codes = quantize.nearest(z, codebook)
        assert codes.dtype == np.int64 and codes.shape == tuple(places)
        np.testing.assert_array_equal(codes, nearest_by_loops(z, codebook))
        np.testing.assert_array_equal(quantize.lookup(codebook, codes), np.take(codebook, codes, axis=0))


@given(st.integers(0, 2**32), st.sampled_from(DTYPES))
def test_ties_go_to_the_lowest_code(seed, dtype):
    """Whole numbers, of which many are equally near."""
    rng = np.random.default_rng(seed)
    z, codebook = (rng.integers(-1, 2, shape).astype(dtype) for shape in ((3, 4, 2), (7, 2)))
    np.testing.assert_array_equal(quantize.nearest(z, codebook), nearest_by_loops(z, codebook))


@pytest.mark.parametrize("z, codebook", [((3, 4), (5, 3)), ((4,), (4,)), ((), (2, 1)), ((2, 3), (4, 1, 3))])
def test_nearest_refuses_other_shapes(z, codebook):
    with pytest.raises(ShapeError, match=r"^nearest: vectors .* must share their last axis$"):
        quantize.nearest(np.zeros(z), np.zeros(codebook))


# straight through


def test_straight_through_is_an_exact_identity():
    """Forward the bits of q, also where z + (q - z) would round; backward the very array."""
    z, q = draw(0, 3, 5, dtype="float32"), 1e-6 * draw(1, 3, 5, dtype="float32")
    assert (z + (q - z) != q).any()
    y, cache = quantize.straight_through(z, q)
    np.testing.assert_array_equal(y, q)
    dy = draw(2, 3, 5, dtype="float32")
    assert quantize.straight_through_backward(cache, dy) is dy


def test_straight_through_refuses_other_shapes():
    with pytest.raises(ShapeError, match=r"z \(2, 3\) and its code \(2, 4\) must have one shape"):
        quantize.straight_through(np.zeros((2, 3)), np.zeros((2, 4)))


# losses


def losses_by_loops(z, codebook, codes, count):
    """(the loss, which both have, d by z, d by the codebook)."""
    loss, dz, dcodebook = 0.0, np.zeros(z.shape), np.zeros(codebook.shape)
    for place in np.ndindex(codes.shape):
        k = codes[place]
        for d in range(z.shape[-1]):
            difference = float(z[place][d]) - float(codebook[k, d])
            loss += difference**2 / count
            dz[(*place, d)] += 2 * difference / count
            dcodebook[k, d] -= 2 * difference / count
    return loss, dz, dcodebook


@given(st.integers(0, 2**32), st.integers(1, 3), st.lists(st.integers(1, 3), max_size=2), st.integers(1, 4))
def test_losses_are_the_loops(seed, n, places, units):
    z, codebook = draw(seed, n, *places, units), draw(seed + 1, 6, units)
    codes = np.random.default_rng(seed).integers(0, 6, z.shape[:-1])
    for given_size, count in ((None, n), (n + 3, n + 3)):
        loss, dz, dcodebook = losses_by_loops(z, codebook, codes, count)
        got, gradient = quantize.commitment_loss(z, codebook[codes], given_size)
        assert got == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(gradient, dz, rtol=1e-12, atol=1e-13)
        got, gradient = quantize.codebook_loss(z, codebook, codes, given_size)
        assert got == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(gradient, dcodebook, rtol=1e-11, atol=1e-12)


def test_an_unused_code_has_no_gradient():
    z, codebook = draw(0, 4, 3), draw(1, 5, 3)
    _, gradient = quantize.codebook_loss(z, codebook, np.array([0, 2, 2, 4]))
    assert not gradient[[1, 3]].any() and gradient[[0, 2, 4]].all()


def test_the_gradients_of_all_functions_are_checked():
    """Those with a gradient; codes, counts and averages have none."""
    own = inspect.getmembers(quantize, lambda f: inspect.isfunction(f) and f.__module__ == quantize.__name__)
    without = {"nearest", "lookup", "smoothed", "moving_average", "perplexity"}
    parts = {"straight_through", "straight_through_backward", "codebook_gradient", "unit_backward"}
    checked = {name for name, _ in own} - without - parts
    assert checked == {"codebook_loss", "commitment_loss", "unit"} <= set(functions())
    for name in checked:
        assert all(report.passed for report in check_by_name(name))


@pytest.mark.parametrize("name, argument", [("codebook_loss", "codebook"), ("commitment_loss", "z"), ("unit", "z")])
def test_a_planted_factor_is_caught(name, argument):
    function, arrays = functions()[name]

    def wrong(**given):
        loss, gradient = function(**given)
        return loss, 1.0001 * gradient

    report = gradcheck_function(name, wrong, arrays)
    assert not report.passed and report.where == argument


# codes of unit length


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_unit_vectors_keep_the_direction(seed, units):
    z, dy = draw(seed, 3, 2, units), draw(seed + 1, 3, 2, units)
    y, cache = quantize.unit(z)
    dz = quantize.unit_backward(cache, dy)
    for place in np.ndindex(3, 2):
        length = math.sqrt(sum(v * v for v in z[place]) + 1e-6)
        np.testing.assert_allclose(y[place], z[place] / length, rtol=1e-13)
        jacobian = np.eye(units) / length - np.outer(z[place], z[place]) / length**3
        np.testing.assert_allclose(dz[place], jacobian.T @ dy[place], rtol=1e-9, atol=1e-12)


def test_the_nearest_unit_vector_has_the_largest_cosine():
    z, codebook = draw(0, 50, 4), draw(1, 9, 4) * np.arange(1, 10)[:, None]
    cosines = (z @ codebook.T) / np.linalg.norm(z, axis=1)[:, None] / np.linalg.norm(codebook, axis=1)
    codes = quantize.nearest(quantize.unit(z)[0], quantize.unit(codebook)[0])
    np.testing.assert_array_equal(codes, cosines.argmax(axis=1))
    assert (codes != quantize.nearest(z, codebook)).any()


def test_the_gradient_of_a_vector_of_zeros_is_bounded():
    """Blank images and biases of 0 give such vectors."""
    y, cache = quantize.unit(np.zeros((1, 3), "float32"))
    assert not y.any()
    np.testing.assert_allclose(quantize.unit_backward(cache, np.ones((1, 3), "float32")), 1e3, rtol=1e-5)


# moving averages


def test_moving_averages_are_the_formula():
    rng, decay, epsilon = np.random.default_rng(0), 0.9, 1e-5
    counts, sums = rng.random(4) + 0.5, rng.normal(size=(4, 3))
    expected_counts, expected_sums = counts.copy(), sums.copy()
    for _ in range(5):
        batch_counts, batch_sums = rng.integers(0, 5, 4).astype(float), rng.normal(size=(4, 3))
        kept = batch_counts.copy(), batch_sums.copy()
        codebook = quantize.moving_average(counts, sums, batch_counts, batch_sums, decay)
        for k in range(4):
            expected_counts[k] = decay * expected_counts[k] + (1 - decay) * batch_counts[k]
            for d in range(3):
                expected_sums[k, d] = decay * expected_sums[k, d] + (1 - decay) * batch_sums[k, d]
        n = sum(expected_counts)
        for k in range(4):
            share = (expected_counts[k] + epsilon) / (n + 4 * epsilon) * n
            np.testing.assert_allclose(codebook[k], expected_sums[k] / share, rtol=1e-12)
        np.testing.assert_allclose(counts, expected_counts, rtol=1e-13)
        np.testing.assert_allclose(sums, expected_sums, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(batch_counts, kept[0])
        np.testing.assert_array_equal(batch_sums, kept[1])


def test_a_code_that_is_always_chosen_goes_to_the_mean():
    counts, sums, vectors = np.ones(1), np.array([[9.0, -9.0]]), np.array([[1.0, 2.0], [3.0, 6.0]])
    for _ in range(300):
        codebook = quantize.moving_average(counts, sums, np.array([2.0]), vectors.sum(axis=0)[None], 0.9)
    np.testing.assert_allclose(codebook, [[2.0, 4.0]], rtol=1e-9)


def test_a_code_without_vectors_stays_where_it_is():
    """No bias towards the origin through the first steps, though all counts decay."""
    codebook = start = draw(3, 5, 2, dtype="float32")
    counts, sums = np.ones(5, "float32"), start.copy()
    for _ in range(100):
        batch = np.array([40, 0, 3, 0, 21], "float32")
        codebook = quantize.moving_average(counts, sums, batch, batch[:, None] * start, 0.99)
    np.testing.assert_allclose(codebook, start, rtol=1e-4)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=9))
def test_smoothed_counts_sum_to_their_number_and_none_is_zero(counts):
    counts = np.array(counts, "float64") + (sum(counts) == 0)
    smoothed = quantize.smoothed(counts)
    assert smoothed.sum() == pytest.approx(counts.sum(), rel=1e-12) and (smoothed > 0).all()
    np.testing.assert_allclose(smoothed, counts, atol=1e-4 * counts.sum() + 1e-5)


# perplexity


@pytest.mark.parametrize("count", (1, 2, 7, 512))
def test_perplexity_of_even_use_is_the_number_of_codes(count):
    assert float(quantize.perplexity(np.full(count, 12.0))) == pytest.approx(count, rel=1e-12)
    assert float(quantize.perplexity(np.concatenate((np.full(count, 3), np.zeros(5, int))))) == pytest.approx(count)


def test_perplexity_of_a_single_code_of_none_and_of_several_books():
    counts = np.array([[0, 8, 0], [0, 0, 0], [1, 2, 1]])
    expected = [1, 1, 2 ** (0.25 * 2 + 0.5 * 1 + 0.25 * 2)]
    np.testing.assert_allclose(quantize.perplexity(counts), expected, rtol=1e-13)


# dtypes and devices


def everything(z, codebook, codes, counts):
    """The results of every function, by name."""
    unit, cache = quantize.unit(z)
    return {
        "lookup": quantize.lookup(codebook, codes),
        "commitment": list(quantize.commitment_loss(z, quantize.lookup(codebook, codes))),
        "codebook": list(quantize.codebook_loss(z, codebook, codes)),
        "unit": [unit, quantize.unit_backward(cache, z * z)],
        "smoothed": quantize.smoothed(counts),
        "moving_average": quantize.moving_average(counts * 2, codebook * 3, counts, codebook, 0.9),
        "perplexity": quantize.perplexity(counts),
    }


def arguments(dtype):
    return {
        "z": draw(0, 4, 3, dtype=dtype),
        "codebook": draw(1, 5, 3, dtype=dtype),
        "codes": np.array([4, 0, 2, 2]),
        "counts": np.array([3, 1, 0, 7, 2], dtype),
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_dtype_is_kept_on_every_device(dtype, gpu):
    expected = everything(**arguments(dtype))
    got = gpu.host(everything(**gpu.array(arguments(dtype))))
    assert_same(got, expected, 1e-6 if dtype == "float32" else 1e-13)
    assert {leaf.dtype for value in expected.values() for leaf in (value if isinstance(value, list) else [value])} == {
        np.dtype(dtype)
    }
    z, codebook = arguments(dtype)["z"], arguments(dtype)["codebook"]
    on_device = gpu.host(quantize.nearest(gpu.array(z), gpu.array(codebook)))
    np.testing.assert_array_equal(on_device, nearest_by_loops(z, codebook))
