"""Losses of images that look further than one pixel, each with its gradient: (loss, dprediction).

As everywhere: summed over features, averaged over the batch; `batch_size` is what to divide by where the rows are a
part of a larger batch. Images are (N, H, W, C) in [0, 1]; the target has no gradient.
"""

import math

from ..backend import array_module
from ..batch import examples
from ..errors import ShapeError

WINDOW, SIGMA = 11, 1.5  # pixels: the side of SSIM's Gaussian window and its standard deviation
C1, C2 = 0.01**2, 0.03**2
EDGE = 4.0  # the weight that a step from 0 to 1 adds to its pixels


def ssim(x, y):
    """The mean structural similarity of pairs of images (Wang et al. 2004, equations 13 to 17).

        S = (2 mx my + C1) (2 sxy + C2) / ((mx^2 + my^2 + C1) (sx^2 + sy^2 + C2))

    mx, my, sx^2, sy^2 and sxy are means, variances and the covariance under a Gaussian window of 11 x 11 pixels with a
    standard deviation of 1.5. S is averaged over the windows that lie in the image, and over channels.

    Parameters
    ----------
    x, y : (N, H, W, C) arrays
        Images in [0, 1].

    Returns
    -------
    similarity : (N,) array
        1 for equal images.

    Raises
    ------
    ShapeError
        For images below 11 pixels a side.

    Example
    -------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).random((2, 12, 12, 1))
    >>> ssim(x, x).round(6).tolist()
    [1.0, 1.0]
    """
    similarity, *_ = _similarity(*_planes("ssim", x, y))
    return similarity.reshape(len(x), math.prod(similarity.shape[1:])).mean(axis=1)


def ssim_loss(prediction, target, batch_size=None):
    """One minus the structural similarity, summed over windows.

        loss = 1/N sum over windows and channels of (1 - S),   S as for `ssim`

    With the blurs p = G x, q = G x^2, r = G xy of the prediction x, where G is linear, the factors of S are a1 = 2 p my
    + C1, a2 = 2 (r - p my) + C2, b1 = p^2 + my^2 + C1, b2 = q - p^2 + sy^2 + C2, so

        dS/dq = -S / b2      dS/dr = 2 a1 / (b1 b2)      dS/dp = 2 my (a2 - a1) / (b1 b2) - 2 p S (1 / b1 - 1 / b2)
        dS/dx = G^T dS/dp + 2 x G^T dS/dq + y G^T dS/dr

    Parameters
    ----------
    prediction, target : (N, H, W, C) arrays
        Images in [0, 1].
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        The sum over windows, averaged over the batch.
    dprediction : (N, H, W, C) array
        Its gradient.

    Example
    -------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).random((1, 12, 12, 1))
    >>> loss, d = ssim_loss(x, x)
    >>> abs(round(float(loss), 6)), d.shape
    (0.0, (1, 12, 12, 1))
    """
    x, y = _planes("ssim_loss", prediction, target)
    s, (rows, columns), (mean_x, mean_y), (a1, a2), (b1, b2) = _similarity(x, y)
    scale = 1 / examples(x, batch_size)

    def transposed(d):
        return rows.T @ d @ columns

    dq = -s / b2
    dr = 2 * a1 / (b1 * b2)
    dp = 2 * mean_y * (a2 - a1) / (b1 * b2) - 2 * mean_x * s * (1 / b1 - 1 / b2)
    ds = transposed(dp) + 2 * x * transposed(dq) + y * transposed(dr)
    return scale * (1 - s).sum(), -scale * ds.transpose(0, 2, 3, 1)


def edge_weighted_mse(prediction, target, batch_size=None):
    """The squared error with more weight on edges.

        loss = 1/N sum w (prediction - target)^2,   w = 1 + 4 `edges`(target)
        dprediction = 2 w (prediction - target) / N

    A blurred edge is a few pixels wide, so it hardly changes the plain error; here these pixels count up to five times.

    Parameters
    ----------
    prediction, target : (N, H, W, C) arrays
        Images in [0, 1].
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        The weighted error.
    dprediction : (N, H, W, C) array
        Its gradient.

    Example
    -------
    >>> import numpy as np
    >>> loss, d = edge_weighted_mse(np.ones((1, 4, 4, 1)), np.zeros((1, 4, 4, 1)))
    >>> float(loss)
    16.0
    """
    _check("edge_weighted_mse", prediction, target)
    scale = 1 / examples(prediction, batch_size)
    difference = prediction - target
    weighted = (1 + EDGE * edges(target)) * difference
    return scale * (weighted * difference).sum(), (2 * scale) * weighted


def edges(x):
    """The magnitude of the image gradient, by Sobel's filters, per channel.

    The differences of the pixels on both sides are smoothed by (1, 2, 1) / 4 across. Border pixels are repeated.

    Parameters
    ----------
    x : (N, H, W, C) array
        Images.

    Returns
    -------
    magnitude : (N, H, W, C) array
        1 on a straight step from 0 to 1.

    Example
    -------
    >>> import numpy as np
    >>> edges(np.repeat([[[[0.0]], [[0.0]], [[1.0]], [[1.0]]]], 4, axis=2))[0, 1, :, 0].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    xp = array_module(x)
    padded = xp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    down = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    across = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    return 0.25 * xp.hypot(down[:, :, 2:] - down[:, :, :-2], across[:, 2:] - across[:, :-2])


def _similarity(x, y):
    """S of every window, (N, C, H - 10, W - 10), and what it was made of."""
    xp = array_module(x)
    rows, columns = (_windows(size, xp, x.dtype) for size in x.shape[2:])

    def blur(a):
        return rows @ a @ columns.T

    mean_x, mean_y = blur(x), blur(y)
    product = mean_x * mean_y
    squares = mean_x * mean_x + mean_y * mean_y
    a1, a2 = 2 * product + C1, 2 * (blur(x * y) - product) + C2
    b1, b2 = squares + C1, blur(x * x + y * y) - squares + C2
    return a1 * a2 / (b1 * b2), (rows, columns), (mean_x, mean_y), (a1, a2), (b1, b2)


def _windows(size, xp, dtype):
    """(size - 10, size): in each row the window's weights, which sum to 1, at one of its places along an axis."""
    offsets = xp.arange(size)[None, :] - xp.arange(size - WINDOW + 1)[:, None] - WINDOW // 2
    weights = xp.exp(-(offsets**2) / (2 * SIGMA**2)) * (abs(offsets) <= WINDOW // 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(dtype)


def _planes(name, x, y):
    """(N, H, W, C) -> (N, C, H, W) of both."""
    _check(name, x, y)
    if min(x.shape[1:3]) < WINDOW:
        raise ShapeError(f"{name}: images need {WINDOW} pixels a side or more, got {x.shape[1]} x {x.shape[2]}")
    return x.transpose(0, 3, 1, 2), y.transpose(0, 3, 1, 2)


def _check(name, prediction, target):
    if prediction.shape != target.shape or prediction.ndim != 4:
        raise ShapeError(
            f"{name}: expected two batches of images (N, H, W, C), got {prediction.shape} and {target.shape}"
        )
