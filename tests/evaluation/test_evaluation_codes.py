"""What is read off codes and scores: neighbours, the linear probe, ROC-AUC."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyae
from tinyae.errors import ConfigError, DataError, ShapeError
from tinyae.evaluation import neighbours
from tinyae.evaluation.anomaly import roc_auc
from tinyae.evaluation.neighbours import nearest_neighbours, vote
from tinyae.evaluation.probe import LinearProbe

seeds = st.integers(0, 2**32)


# nearest neighbours


@given(seeds, st.integers(1, 9), st.integers(1, 30), st.integers(1, 4), st.data())
def test_nearest_is_brute_force_ties_included(seed, queries, count, dimensions, data):
    rng = np.random.default_rng(seed)
    k = data.draw(st.integers(1, count))
    q, codes = (rng.integers(-2, 3, (n, dimensions)).astype("float32") for n in (queries, count))  # many ties
    indices, distances = nearest_neighbours(q, codes, k)
    for i in range(queries):
        brute = [(float(np.sum((q[i] - c) ** 2)) ** 0.5, j) for j, c in enumerate(codes)]
        expected = sorted((round(distance, 6), j) for distance, j in brute)[:k]
        assert [round(d, 6) for d in distances[i]] == [d for d, _ in expected]
        # Rounding in |q|^2 - 2 q.c + |c|^2 may part what is tied: equal distances then, not equal indices.
        assert sorted(indices[i]) == sorted(set(indices[i]))
        assert [round(brute[j][0], 6) for j in indices[i]] == [d for d, _ in expected]


def test_of_equal_codes_the_first_is_nearest():
    codes = np.tile(np.array([[0.3, -0.7], [4.0, 4.0]]), (200, 1))
    indices, distances = nearest_neighbours(codes[:1], codes, 3)
    assert indices.tolist() == [[0, 2, 4]] and np.allclose(distances, 0, atol=1e-6)


def test_nearest_is_the_same_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    q, codes = rng.normal(size=(50, 8)), rng.normal(size=(700, 8))
    whole = nearest_neighbours(q, codes, 5)
    monkeypatch.setattr(neighbours, "BLOCK_VALUES", 700 * 3)
    in_blocks = nearest_neighbours(q, codes, 5)
    np.testing.assert_array_equal(in_blocks[0], whole[0])
    np.testing.assert_allclose(in_blocks[1], whole[1], rtol=1e-12)


def test_nearest_far_from_the_origin():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(100, 3))
    indices, distances = nearest_neighbours(codes[:10] + 1e6, codes + 1e6, 2)
    assert indices[:, 0].tolist() == list(range(10)) and np.allclose(distances[:, 0], 0, atol=1e-6)


@pytest.mark.parametrize("k", (0, 5))
def test_more_neighbours_than_codes_are_refused(k):
    with pytest.raises(ConfigError, match="from 1 to 4"):
        nearest_neighbours(np.zeros((1, 2)), np.zeros((4, 2)), k)


def test_codes_of_another_length_are_refused():
    with pytest.raises(ShapeError, match=r"\(1, 2\) and \(4, 3\)"):
        nearest_neighbours(np.zeros((1, 2)), np.zeros((4, 3)))


def test_vote():
    assert vote([[1, 2, 2], [3, 1, 2], [0, 5, 5], [2, 1, 1]]).tolist() == [2, 3, 5, 1]
    assert vote([[4, 1, 1, 4]]).tolist() == [4]  # two votes each: the nearest decides
    assert vote([[7]]).tolist() == [7]


# the linear probe


@pytest.fixture(scope="module")
def digits():
    return tinyae.data.load("digits")


def flat(part):
    return part.x.reshape(len(part), -1) / 255.0


def test_the_probe_is_logistic_regression(digits):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, labels = flat(digits.train), digits.train.labels
    probe = LinearProbe(10).fit(x, labels)
    scaled = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    theirs = linear_model.LogisticRegression(C=1 / (1e-4 * len(x)), max_iter=2000).fit(scaled, labels)
    test = (flat(digits.test) - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    assert abs(probe.score(flat(digits.test), digits.test.labels) - theirs.score(test, digits.test.labels)) < 0.015
    logits = probe.logits(x)
    log_p = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
    log_p -= logits.max(1, keepdims=True)
    ours = -log_p[np.arange(len(x)), labels].mean()
    assert ours < -theirs.predict_log_proba(scaled)[np.arange(len(x)), labels].mean() + 0.003


def random_features(part):
    """200 random features of the digits: more than a first-order method brings to the optimum."""
    return np.maximum(flat(part) @ np.random.default_rng(0).normal(size=(64, 200)), 0)


@pytest.mark.parametrize("features, accuracy", [(flat, 0.8972222222222223), (random_features, 0.9166666666666666)])
def test_the_probe_comes_to_the_optimum(features, accuracy, digits):
    """The accuracies are scikit-learn's, of lbfgs at tol=1e-8; at the optimum the gradient is 0."""
    x, labels = features(digits.train), digits.train.labels
    probe = LinearProbe(10).fit(x, labels)
    assert probe.converged
    assert probe.score(features(digits.test), digits.test.labels) == pytest.approx(accuracy, abs=1e-3)
    z = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    logits = probe.logits(x)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dlogits = (p - np.eye(10)[labels]) / len(z)
    np.testing.assert_allclose(dlogits.sum(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(z.T @ dlogits + 1e-4 * probe.weights[:-1], 0, atol=1.1e-6)


def test_the_probe_has_the_weights_of_scikit_learn(digits):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, labels = flat(digits.train)[:300], digits.train.labels[:300]
    probe = LinearProbe(10).fit(x, labels)
    z = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    theirs = linear_model.LogisticRegression(C=1 / (1e-4 * len(x)), tol=1e-8, max_iter=5000).fit(z, labels)
    np.testing.assert_allclose(
        probe.weights[:-1], theirs.coef_.T - theirs.coef_.T.mean(axis=1, keepdims=True), atol=0.02
    )


def test_a_class_without_examples_changes_nothing():
    codes = np.random.default_rng(0).normal(size=(60, 2))
    labels = (codes[:, 0] > 0).astype(int)
    wide, narrow = LinearProbe(301).fit(codes, 300 * labels), LinearProbe(2).fit(codes, labels)
    np.testing.assert_array_equal(wide.predict(codes), 300 * narrow.predict(codes))
    np.testing.assert_array_equal(wide.logits(codes)[:, [0, 300]], narrow.logits(codes))
    assert np.isneginf(wide.logits(codes)[:, 1:300]).all()


def test_a_probe_that_did_not_converge_says_so(monkeypatch):
    from tinyae.evaluation import probe

    monkeypatch.setattr(probe, "STEPS", 1)
    codes = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.warns(RuntimeWarning, match="^the linear probe did not converge in 1 steps$"):
        found = LinearProbe(2).fit(codes, codes[:, 0] > 0)
    assert not found.converged


def test_the_probe_reads_a_linear_label_and_no_more(digits):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(4000, 3)) * [1, 100, 0.01] + [0, 5, 1]
    linear = (codes[:, 0] + 100 * (codes[:, 2] - 1) > 0.3).astype(int)
    product = (codes[:, 0] * (codes[:, 1] - 5) > 0).astype(int)
    assert LinearProbe(2).fit(codes[:3000], linear[:3000]).score(codes[3000:], linear[3000:]) > 0.98
    assert 0.44 < LinearProbe(2).fit(codes[:3000], product[:3000]).score(codes[3000:], product[3000:]) < 0.56


def test_a_dimension_that_never_changes_does_no_harm():
    codes = np.array([[0.0, 5.0], [1.0, 5.0]] * 10)
    assert LinearProbe(2).fit(codes, [0, 1] * 10).score(codes, [0, 1] * 10) == 1


def test_a_probe_of_one_class_is_refused():
    with pytest.raises(DataError, match="two classes"):
        LinearProbe(2).fit(np.zeros((4, 2)), np.zeros(4, int))
    with pytest.raises(ShapeError, match=r"\(4, 2\) and \(3,\)"):
        LinearProbe(2).fit(np.zeros((4, 2)), np.zeros(3, int))


# ROC-AUC


@given(seeds, st.integers(1, 20), st.integers(1, 20))
def test_roc_auc_is_the_share_of_pairs_in_order(seed, positives, negatives):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, positives + negatives)  # many ties
    positive = rng.permutation([True] * positives + [False] * negatives)
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[positive] for n in scores[~positive]]
    assert roc_auc(scores, positive) == pytest.approx(sum(pairs) / len(pairs), rel=1e-12)


def test_roc_auc_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    positive = rng.random(5000) < 0.1
    scores = np.round(rng.normal(size=5000) + positive, 2).astype("float32")
    assert roc_auc(scores, positive) == pytest.approx(metrics.roc_auc_score(positive, scores), rel=1e-12)


def test_roc_auc_refuses_what_has_none():
    with pytest.raises(DataError, match="positive and negative examples, got 2 positive, 0 negative"):
        roc_auc([1.0, 2.0], [True, True])
    with pytest.raises(DataError, match="NaN"):
        roc_auc([np.nan, 2.0], [True, False])
