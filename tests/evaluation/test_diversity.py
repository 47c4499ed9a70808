"""Shares of classes, their entropy, and the nearest training image, against loops over single numbers."""

import math

import numpy as np
import pytest

from tinyae.evaluation.diversity import entropy, hardly_drawn, nearest_images, shares


def test_shares_and_entropy():
    p = shares(np.array([0, 2, 2, 3]), 5)
    np.testing.assert_allclose(p, [0.25, 0, 0.5, 0.25, 0])
    assert entropy(p) == pytest.approx(0.5 * math.log(4) + 0.5 * math.log(2))
    assert entropy(shares(np.arange(10), 10)) == pytest.approx(math.log(10))
    assert entropy(shares(np.full(7, 3), 10)) == 0


def test_hardly_drawn_is_beside_the_datas_share():
    data = np.array([0.5, 0.4, 0.1, 0.0])
    np.testing.assert_array_equal(hardly_drawn(np.array([0.04, 0.0, 0.011, 0.949]), data), [0, 1])


def by_loops(x, among):
    for image in x.reshape(len(x), -1):
        rms = [math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(image, other, strict=True)) / len(image))
               for other in among.reshape(len(among), -1)]  # fmt: skip
        yield rms.index(min(rms)), min(rms)


def test_nearest_images():
    rng = np.random.default_rng(0)
    x, among = rng.random((6, 3, 4, 1)), rng.random((20, 3, 4, 1))
    indices, distances = nearest_images(x, among)
    expected = list(by_loops(x, among))
    assert indices.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(distances, [d for _, d in expected], rtol=1e-6)


def test_a_copy_is_at_distance_0_and_bytes_are_255ths():
    among = np.random.default_rng(0).integers(0, 256, (50, 28, 28, 1), dtype=np.uint8)
    indices, distances = nearest_images(among[[7, 3]] / 255, among)
    assert indices.tolist() == [7, 3]
    np.testing.assert_allclose(distances, 0, atol=1e-7)
    moved = among[:1] / 255
    moved[0, 0, 0, 0] += 1
    assert nearest_images(moved, among)[1][0] == pytest.approx(1 / 28, rel=1e-5)
