"""A linear autoencoder trained by squared error finds the principal subspace (Baldi & Hornik 1989), on real digits."""

import numpy as np
import pytest

import tinyae
from tinyae import models

RANK = 10


def largest_angle(a, b):
    """The largest principal angle, in radians, between the column spaces of a and b (D, k).

    Its sine is the norm of what b's space leaves of an orthonormal basis of a's: exact where a cosine is all rounding.
    """
    q, r = np.linalg.qr(a)[0], np.linalg.qr(b)[0]
    return np.arcsin(min(1.0, np.linalg.norm(q - r @ (r.T @ q), 2)))


@pytest.fixture(scope="module")
def trained():
    """(model, x, the SVD of x): 500 full-batch steps on x, the 1,437 training digits less their mean, (N, 64)."""
    x = tinyae.data.load("digits").train.x.reshape(-1, 64) / 255
    x -= x.mean(axis=0)
    model = models.AE(input_shape=(64,), latent_dim=RANK, hidden=(), loss="mse", dtype="float64")
    tinyae.fit(model, x, epochs=500, batch_size=len(x), lr=0.1, schedule="cosine", progress=False)
    return model, x, np.linalg.svd(x, full_matrices=False)


def test_the_angle_between_known_planes():
    a, tilt = np.eye(5)[:, :2], 1e-5
    b = np.array([[3, 0, 0, 0, 0], [1, np.cos(tilt), np.sin(tilt), 0, 0]]).T  # tilted, and no orthonormal basis
    assert largest_angle(a, b) == pytest.approx(tilt, rel=1e-9)
    assert largest_angle(a, np.eye(5)[:, 3:]) == pytest.approx(np.pi / 2)


def test_the_decoder_spans_the_principal_directions(trained):
    model, _, (_, _, directions) = trained
    decoder = model.named_parameters()["decoder.0.weight"]
    assert largest_angle(decoder.T, directions[:RANK].T) < 1e-3
    assert largest_angle(decoder.T, directions[1 : RANK + 1].T) > 0.5, "any subspace would have passed"


def test_the_codes_span_the_principal_components(trained):
    model, x, (components, _, _) = trained
    codes = model.encode(x)
    assert largest_angle(codes - codes.mean(axis=0), components[:, :RANK]) < 1e-3


def test_no_error_is_smaller_than_the_svds(trained):
    """What is left is the sum of the squared singular values beyond the code's (Eckart & Young 1936)."""
    model, x, (_, values, _) = trained
    least = (values[RANK:] ** 2).sum() / len(x)
    assert float(model.loss({"x": x})["loss"]) == pytest.approx(least, rel=1e-6)
