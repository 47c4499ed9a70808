"""Clusters against classes: the best matching by brute force and by SciPy, and the accuracy that follows."""

import json
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyae
from tinyae import cli
from tinyae.errors import DataError
from tinyae.evaluation.clustering import assignment, clustering_accuracy, contingency

sizes = st.tuples(st.integers(1, 5), st.integers(0, 2)).map(lambda nk: (nk[0], nk[0] + nk[1]))


@given(st.integers(0, 2**32), sizes, st.booleans())
def test_assignment_is_the_best_of_all(seed, shape, ties):
    rng = np.random.default_rng(seed)
    cost = rng.integers(-3, 3, shape).astype(float) if ties else rng.normal(size=shape)
    columns, rows = assignment(cost), np.arange(shape[0])
    assert len(set(columns)) == shape[0] and set(columns) <= set(range(shape[1]))
    best = min(cost[rows, list(chosen)].sum() for chosen in permutations(range(shape[1]), shape[0]))
    assert cost[rows, columns].sum() == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("shape", ((40, 40), (30, 70)))
@pytest.mark.parametrize("seed", range(3))
def test_assignment_is_scipys(shape, seed):
    optimize = pytest.importorskip("scipy.optimize")
    cost = np.random.default_rng(seed).normal(size=shape)
    rows = np.arange(shape[0])
    expected = cost[optimize.linear_sum_assignment(cost)].sum()
    assert cost[rows, assignment(cost)].sum() == pytest.approx(expected, rel=1e-12)


def test_more_rows_than_columns_are_refused():
    with pytest.raises(ValueError, match="3 rows need at least as many columns, got 2"):
        assignment(np.zeros((3, 2)))


def test_greedy_matching_would_be_worse():
    """Cluster 0 is mostly class 0, but giving it class 1 frees class 0 for cluster 1, which has nothing else."""
    clusters = np.repeat([0, 0, 1], [6, 5, 5])
    labels = np.repeat([0, 1, 0], [6, 5, 5])
    accuracy, classes = clustering_accuracy(clusters, labels)
    assert accuracy == 10 / 16 and classes.tolist() == [1, 0]


def test_renamed_classes_are_found_again():
    labels = np.random.default_rng(0).integers(0, 7, 500)
    renamed = np.random.default_rng(1).permutation(7)
    accuracy, classes = clustering_accuracy(renamed[labels], labels)
    assert accuracy == 1
    np.testing.assert_array_equal(classes[renamed], np.arange(7))


def test_more_clusters_than_classes_and_fewer():
    labels = np.array([0, 0, 0, 1, 1])
    accuracy, classes = clustering_accuracy(np.array([0, 0, 2, 1, 1]), labels)
    assert accuracy == 4 / 5 and classes.tolist() == [0, 1, -1]
    accuracy, classes = clustering_accuracy(np.zeros(5, int), labels)
    assert accuracy == 3 / 5 and classes.tolist() == [0]


def test_contingency_counts():
    np.testing.assert_array_equal(contingency([0, 2, 2], [1, 0, 0]), [[0, 1], [0, 0], [2, 0]])


@pytest.mark.parametrize("clusters, labels", [([0, 1], [0]), ([], []), ([0.0], [0]), ([0], [-1])])
def test_what_are_no_clusters_is_refused(clusters, labels):
    with pytest.raises(DataError, match="clusters"):
        clustering_accuracy(clusters, labels)


# the command line


def test_evaluate_reports_the_accuracy(tmp_path, monkeypatch, capsys):
    def tell(*words, code=0):
        assert cli.main([str(word) for word in words]) == code
        return capsys.readouterr()[bool(code)]

    monkeypatch.chdir(tmp_path)
    small = ("--data", "digits", "--epochs", 1, "--no-pictures")
    tell("train", "mixture-vae", *small, "--set", "channels=4", "--set", "units=16", "--out", "r")
    found = json.loads(tell("evaluate", "r", "--clusters", "--json"))
    test = tinyae.data.load("digits").test
    clusters = tinyae.load("r").cluster(test.x)
    assert found["clustering_accuracy"] == clustering_accuracy(clusters, test.labels)[0]
    assert found["clusters_used"] == len(np.unique(clusters))
    assert "clustering accuracy" in tell("evaluate", "r", "--clusters")

    tell("train", "ae", *small, "--set", "hidden=8", "--out", "ae")
    said = tell("evaluate", "ae", "--clusters", code=2)
    assert said == "tinyae: --clusters: ae finds no classes: use a mixture-vae\n"
    np.save("x.npy", test.x)
    said = tell("evaluate", "r", "--clusters", "--data", "x.npy", code=2)
    assert said == "tinyae: --clusters needs labels, and x has none\n"
