"""Disentanglement: codes made by hand, whose scores are known, and scikit-learn as a second opinion."""

import numpy as np
import pytest
from data_errors import peak_of

from tinyae.data import dsprites
from tinyae.errors import ConfigError, DataError, ShapeError
from tinyae.evaluation import disentanglement as metrics

SIZES = (3, 6, 10, 20)  # no more values than bins
FACTORS = np.tile(np.indices(SIZES).reshape(4, -1).T, (3, 1))  # each combination three times: independent factors
N = len(FACTORS)
SCALES = np.array([1, -3, 0.2, 7])
CODES = FACTORS * SCALES + [0, 5, -1, 100]  # one dimension a factor
NOISE = np.random.default_rng(0).normal(size=(N, 6))
HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
STANDARD = (FACTORS - FACTORS.mean(axis=0)) / FACTORS.std(axis=0)


def test_entropy_of_a_fair_die():
    assert metrics.entropy(np.full(6, 10)) == pytest.approx(np.log(6))
    np.testing.assert_allclose(metrics.entropy(np.array([[1, 0, 0], [2, 2, 0]])), [0, np.log(2)], atol=1e-15)


def test_information_of_a_table_worked_by_hand():
    """p(z, v) = 1/2, 1/4, 0, 1/4: I = H(3/4) + H(1/2) - 1.5 ln 2."""
    codes, factors = np.array([[0.0], [0.0], [0.0], [9.0]]), np.array([[0], [0], [1], [1]])
    expected = -0.75 * np.log(0.75) - 0.25 * np.log(0.25) + np.log(2) - 1.5 * np.log(2)
    assert metrics.mutual_information(codes, factors, bins=2)[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize("bins", [2, 7, 20])
def test_information_is_that_of_scikit_learn(monkeypatch, bins):
    score = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn").mutual_info_score
    codes = np.concatenate([NOISE[:, :2], STANDARD @ HADAMARD + 0.1 * NOISE[:, :4]], axis=1)
    monkeypatch.setattr(metrics, "BLOCK", 4 * N)  # more blocks than one
    information = metrics.mutual_information(codes, FACTORS, bins)
    for j, column in enumerate(codes.T):
        edges = np.histogram_bin_edges(column, bins)[1:-1]
        for k, values in enumerate(FACTORS.T):
            assert information[j, k] == pytest.approx(score(np.digitize(column, edges), values), abs=1e-9)


def test_the_gap_of_a_perfect_code_is_one():
    np.testing.assert_allclose(metrics.information_gaps(CODES, FACTORS), 1, atol=1e-12)
    assert metrics.mig(CODES, FACTORS) == pytest.approx(1)


def test_more_values_than_bins_bound_the_gap():
    """40 values in 20 bins, two in each: log 20 of log 40 nats are left."""
    factors = np.arange(4000)[:, None] % 40
    assert metrics.mig(factors * 1.0, factors) == pytest.approx(np.log(20) / np.log(40))
    assert metrics.mig(factors * 1.0, factors, bins=40) == pytest.approx(1)


def test_the_gap_of_noise_is_nought():
    assert 0 <= metrics.mig(NOISE, FACTORS) < 0.005


def test_order_and_sign_of_the_dimensions_do_not_matter():
    shuffled = np.concatenate([NOISE[:, :1], -CODES[:, ::-1], NOISE[:, 1:2]], axis=1)
    np.testing.assert_allclose(metrics.information_gaps(shuffled, FACTORS), 1, atol=0.01)


def test_a_factor_told_twice_or_by_halves_has_no_gap():
    twice = np.concatenate([CODES, CODES[:, :2]], axis=1)
    np.testing.assert_allclose(metrics.information_gaps(twice, FACTORS), [0, 0, 1, 1], atol=1e-12)
    assert metrics.mig(STANDARD @ HADAMARD, FACTORS) < 0.1  # each dimension a quarter of each factor


def test_one_dimension_alone_is_compared_with_none():
    gaps = metrics.information_gaps(CODES[:, [2]], FACTORS)
    assert gaps[2] == pytest.approx(1) and gaps[[0, 1, 3]].max() < 0.01


def test_a_dimension_that_never_changes_tells_nothing():
    constant = np.full((N, 1), 3.0)
    assert (metrics.mutual_information(constant, FACTORS) == 0).all()
    np.testing.assert_allclose(metrics.information_gaps(np.hstack([CODES, constant]), FACTORS), 1, atol=1e-12)


def test_higgins_of_a_perfect_code():
    assert metrics.higgins(CODES, FACTORS, votes=1000) > 0.99
    assert metrics.higgins(np.hstack([-CODES[:, ::-1], NOISE]), FACTORS, votes=1000) > 0.99


def test_higgins_of_noise_is_chance():
    assert abs(metrics.higgins(NOISE, FACTORS, votes=2000) - 1 / 4) < 0.04


def test_higgins_of_the_factors_mixed_is_below_that_of_them_apart():
    """With few pairs to average over: with many, a linear classifier unmixes; a known weakness of the metric."""
    apart, mixed = (metrics.higgins(codes, FACTORS, votes=2000, pairs=5) for codes in (STANDARD, STANDARD @ HADAMARD))
    assert mixed + 0.2 < apart


def test_votes_are_those_of_the_definition(monkeypatch):
    """Pairs agree in the factor that is fixed, and in others as chance has it; differences are of the pairs."""
    codes = FACTORS.astype(np.uint8)  # bytes must not wrap around
    monkeypatch.setattr(metrics, "BLOCK", 2048)  # more blocks than one
    seen, fixed = metrics._votes(codes, FACTORS, 2000, 8, metrics.Noise(5))
    assert seen.shape == (2000, 4) and np.bincount(fixed).min() > 400
    for k in range(4):
        of_k = seen[fixed == k]
        assert (of_k[:, k] == 0).all()
        for j in {0, 1, 2, 3} - {k}:  # uniform on n values: E|a - b| = (n^2 - 1) / 3 n
            n = SIZES[j]
            assert of_k[:, j].mean() == pytest.approx((n * n - 1) / (3 * n), rel=0.1)


def test_higgins_is_a_function_of_its_arguments():
    first, again, other = (metrics.higgins(NOISE, FACTORS, seed, votes=500) for seed in (1, 1, 2))
    assert first == again != other


def test_the_classifier_is_as_good_as_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
    codes = np.hstack([STANDARD @ HADAMARD, NOISE])
    parts = [metrics._votes(codes, FACTORS, 2000, 10, metrics.Noise(seed)) for seed in (1, 2)]
    theirs = linear_model.LogisticRegression(max_iter=2000).fit(*parts[0]).score(*parts[1])
    ours = metrics.LinearProbe(4).fit(*parts[0]).score(*parts[1])
    assert abs(ours - theirs) < 0.02


def test_all_of_it_on_images():
    """Area and centre, taken from images that are drawn block by block: they tell x and y, and not the rotation."""
    numbers = np.random.default_rng(2).integers(0, dsprites.COUNT, 3000)
    x, factors, seen = dsprites.images(numbers), dsprites.factors(numbers), []

    def area_and_place(images):
        seen.append(len(images))
        white = images[..., 0] > 0
        area = white.sum(axis=(1, 2))
        places = np.arange(64)
        return np.stack([area, white.sum(axis=1) @ places / area, white.sum(axis=2) @ places / area], axis=1)

    report = metrics.disentanglement(area_and_place, x, factors)
    assert seen == [1000] * 3 and report["higgins"] > 0.5
    assert report["mig"] == pytest.approx(np.mean(report["gaps"]))
    assert min(report["gaps"][3:]) > 0.7 and report["gaps"][2] < 0.05


def test_memory_does_not_grow_with_the_dimensions():
    codes = np.zeros((500, 20_000), np.uint8)
    factors = FACTORS[:500]
    limit = 5 * 8 * metrics.BLOCK
    assert peak_of(lambda: metrics.mutual_information(codes, factors)) < limit
    assert peak_of(lambda: metrics._votes(codes, factors, 50, 64, metrics.Noise(0))) < limit


@pytest.mark.parametrize(
    ("codes", "factors", "error", "word"),
    [
        (CODES[0], FACTORS, ShapeError, "(N, D)"),
        (CODES[:5], FACTORS, ShapeError, "(5, 4)"),
        (CODES[:0], FACTORS[:0], ShapeError, "(0, 4)"),
        (CODES, FACTORS * 1.0, DataError, "integers"),
        (CODES, FACTORS * 0, DataError, "has the same value in all examples"),
        (CODES * np.nan, FACTORS, DataError, "NaN"),
    ],
)
def test_what_has_no_score_is_refused(codes, factors, error, word):
    for metric in (metrics.mig, metrics.higgins):
        if word != "has the same value in all examples" or metric is metrics.mig:
            with pytest.raises(error) as caught:
                metric(codes, factors)
            assert word in str(caught.value) and "\n" not in str(caught.value)


def test_a_single_factor_cannot_be_told_from_others():
    with pytest.raises(ShapeError, match="two or more"):
        metrics.higgins(CODES, FACTORS[:, :1])


@pytest.mark.parametrize("bins", [1, 2.5])
def test_bins_are_checked(bins):
    with pytest.raises(ConfigError, match="bins"):
        metrics.mig(CODES, FACTORS, bins)
