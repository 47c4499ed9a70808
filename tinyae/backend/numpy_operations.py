"""The operations as formulas, for NumPy; where CuPy has no kernel of its own, it computes the same formulas.

`operations` chooses between these functions and the functions of the same names for a GPU and in C++.
"""

import functools
import operator

import numpy as np

from ..errors import ShapeError
from .convolution import patches, winograd
from .convolution.geometry import taps
from .modules import array_module
from .scores import check_codebook, check_codes, slack

SCORES = 1 << 17  # a block of rows in `nearest_code` has so many, which fit in the cache
NUMBERS = 1 << 16  # as many numbers as the differences of rows and codes that are computed at once


# Dense layers: y = x W + b, so dx = dy W^T, dW = x^T dy, db = sum_n dy


def affine(x, weight, bias=None):
    """y = x W + b.   (N, K), (K, F), (F,) -> (N, F)."""
    y = x @ weight
    if bias is not None:
        y += bias
    return y


def product_transposed(a, b):
    """a b^T, such as dx = dy W^T.   (M, K), (N, K) -> (M, N)."""
    if a.dtype != np.float32:
        return a @ b.T
    return np.ascontiguousarray((b @ a.T).T)  # OpenBLAS computes this form a fifth faster


def add_product(out, x, dy, fresh=False):
    """out += x^T dy, such as dW.   (K, F), (N, K), (N, F). fresh: out = x^T dy, whatever was there before."""
    if fresh:
        array_module(x).matmul(x.T, dy, out=out)
    else:
        out += x.T @ dy


def add_rows(sums, x):
    """sums += the sum of x over all axes but the last, such as db.   (C,), (N, ..., C)."""
    sums += x.sum(axis=tuple(range(x.ndim - 1)))


# Functions of each number


def relu(x):
    """y = max(x, 0)."""
    return array_module(x).maximum(x, 0)


def relu_gradient(y, dy):
    """dx = dy where y > 0, else 0, as y = max(x, 0)."""
    return dy * (y > 0)


def bce_with_logits(logits, x, scale):
    """Sum of the binary cross-entropies of all elements, and the gradient of `scale` times that sum.

        loss_i    = l g_i + log(1 + exp(-|l|)),   g_i = 1[l > 0] - x       (no g, no loss: 0 times infinity is 0)
        dlogits_i = scale (sigmoid(l) - x),   sigmoid(l) = exp(min(l, 0)) / (1 + exp(-|l|))

    No exponential sees a positive number, and for x in [0, 1] two terms of one sign are added: any logit is safe.
    Returns (sum, dlogits), the sum of shape ().
    """
    loss = np.subtract(logits > 0, x, dtype=logits.dtype)  # g; each pass writes where the one before did
    np.multiply(loss, logits, out=loss, where=loss != 0)  # l g
    e = np.abs(logits)
    np.negative(e, out=e)
    np.exp(e, out=e)  # exp(-|l|)
    dlogits = np.minimum(logits, 0)
    np.exp(dlogits, out=dlogits)
    dlogits /= e + 1  # sigmoid(l)
    dlogits -= x
    dlogits *= scale  # scale (sigmoid(l) - x), the derivative of scale times the loss
    np.log1p(e, out=e)
    loss += e  # l g + log(1 + exp(-|l|))
    return loss.sum(), dlogits


def adam(w, gradients, m, v, beta1, beta2, rate, epsilon, shrink=1.0):
    """One update of Adam or AdamW in place, over flat arrays of one length; g is the sum of `gradients`, a list.

        m = beta1 m + g        v = beta2 v + g^2        w = shrink w - rate m / (sqrt(v) + epsilon)

    The factors 1 - beta of the moments and the bias corrections are in the two scalars `rate` and `epsilon` (see
    `optim.Adam`): three passes over memory fewer.
    """
    g = functools.reduce(operator.add, gradients)
    m *= beta1
    m += g  # beta1 m + g
    v *= beta2
    scratch = np.multiply(g, g)
    v += scratch  # beta2 v + g^2
    if shrink != 1:
        w *= shrink
    np.sqrt(v, out=scratch)
    scratch += epsilon
    np.divide(m, scratch, out=scratch)
    scratch *= rate
    w -= scratch  # shrink w - rate m / (sqrt(v) + epsilon)


# Normalisation


def batch_norm(x, scale, shift, epsilon, mean=None, var=None):  # x (N, ..., C), the others (C,)
    """Normalise each feature over all axes but the last, then scale and shift it (Ioffe & Szegedy 2015, algorithm 1).

        xhat = (x - mean) / sigma,   sigma = sqrt(var + epsilon),   y = scale xhat + shift

    mean, var: constants to normalise with; by default computed from x. Returns (y, mean, var, 1 / sigma).
    """
    rows = tuple(range(x.ndim - 1))  # every axis but the last
    mean = x.mean(axis=rows) if mean is None else mean  # (C,)
    centred = x - mean  # (N, ..., C)
    var = (centred * centred).mean(axis=rows) if var is None else var  # (C,)
    inverse = 1 / array_module(x).sqrt(var + epsilon)  # (C,), 1 / sigma
    y = centred * (scale * inverse) + shift  # (N, ..., C), which is scale xhat + shift
    return y, mean, var, inverse


def batch_norm_backward(dy, x, scale, mean, inverse, constant=False):  # dy, x (N, ..., C), the others (C,)
    """(dx, dscale, dshift) from dy = dL/dy. Each comment names the line of `batch_norm` that is differentiated.

    The m values of a feature share a mean and a sigma, so every x moves every y. With g = dL/dxhat = scale dy,

        dx = (g - mean(g) - xhat mean(g xhat)) / sigma        (Ioffe & Szegedy 2015, section 3)

    The three terms come from x itself, from the mean, and from sigma. Here mean(g) is scale dshift / m, and
    mean(g xhat) is scale dscale / m. constant: the mean and sigma were constants, so the first term is all.
    """
    rows, m = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    centred = x - mean  # (N, ..., C), computed again, since keeping it would take as much memory as x
    dshift = dy.sum(axis=rows)  # (C,), as y = scale xhat + shift
    dscale = (dy * centred).sum(axis=rows) * inverse  # (C,), as y = scale xhat + shift and xhat = centred inverse
    direct = scale * inverse  # (C,), times dy: as y = centred (scale inverse) + shift
    if constant:
        return dy * direct, dscale, dshift
    share = direct * (1 / m)  # (C,), as each value has 1 / m of a mean
    through_mean = -share * dshift  # (C,), as centred = x - mean
    through_sigma = -share * inverse * dscale  # (C,), times centred: as var = mean(centred^2), inverse = var^(-1/2)
    return direct * dy + through_sigma * centred + through_mean, dscale, dshift  # dx (N, ..., C)


# Convolution: the three sums are written out in `convolution`. geometry: how windows lie over an image.


def convolution(x, weight, geometry, bias=None, fast=True):
    """y (N, OH, OW, O) from x (N, H, W, C) and w (kh, kw, C / groups, O), plus bias (O,).

        y[n, i, j, o] = b[o] + sum_uvc x[n, i s + u d - p, j s + v d - p, c] w[u, v, c, o]

    fast=False: on the CPU, the bits of a number of y depend on its window alone, not on what else is computed with it.
    The fast algorithms round by where in the image a window lies, and BLAS by how many there are: see `patches`.
    """
    size = geometry.output_size(x.shape[1:3], weight.shape[:2])  # (OH, OW)
    if fast and winograd.pays(x, weight.shape, geometry, size):
        return winograd.output(x, weight, geometry.start, size, bias)
    return patches.output(x, weight, geometry, bias, fast)


def convolution_input_gradient(dy, weight, geometry, size, bias=None):
    """dx (N, H, W, C) from dy (N, OH, OW, O) and w (kh, kw, C / groups, O); size is (H, W).

        dx[n, a, b, c] = sum_uvo dy[n, i, j, o] w[u, v, c, o] where i s + u d - p = a and j s + v d - p = b

    bias (C,) is added to every pixel: where this is the output of a transposed convolution.
    """
    if winograd.pays(dy, weight.shape, geometry, size):  # dy convolved with the kernel turned by 180 degrees
        start = tuple(-s - k + 1 for s, k in zip(geometry.start, weight.shape[:2], strict=True))
        return winograd.output(dy, weight[::-1, ::-1].transpose(0, 1, 3, 2), start, size, bias)
    return patches.input_gradient(dy, weight, geometry, size, bias)


def convolution_weight_gradient(x, dy, geometry, kernel_size):
    """dw (kh, kw, C / groups, O) from x (N, H, W, C) and dy (N, OH, OW, O).

    dw[u, v, c, o] = sum_nij x[n, i s + u d - p, j s + v d - p, c] dy[n, i, j, o]
    """
    shape = *kernel_size, x.shape[3] // geometry.groups, dy.shape[3] // geometry.groups
    if winograd.pays(x, shape, geometry, dy.shape[1:3]):
        return winograd.weight_gradient(x, dy, geometry.start, kernel_size[1])
    return patches.weight_gradient(x, dy, geometry, kernel_size)


# Pooling. size: of the window, (height, width); geometry: how windows lie; each window has a pixel.


def max_pool(x, size, geometry, result_size):
    """y (N, OH, OW, C), the maximum of each window of x (N, H, W, C); padding never counts."""
    xp = array_module(x)
    y = xp.full((len(x), *result_size, x.shape[3]), -xp.inf, dtype=x.dtype)
    for y_at, x_at in taps(x.shape[1:3], result_size, size, geometry):
        y[y_at] = xp.maximum(y[y_at], x[x_at])
    return y


def max_pool_gradient(x, y, dy, size, geometry):
    """dx (N, H, W, C): dy at the first pixel of its window, in raster order, that has the maximum, 0 elsewhere."""
    dx = array_module(dy).zeros_like(x)
    left = dy.copy()  # (N, OH, OW, C), what has not found its pixel yet
    for y_at, x_at in taps(x.shape[1:3], y.shape[1:3], size, geometry):
        share = left[y_at] * (x[x_at] == y[y_at])  # as y = x at the pixel of the maximum
        dx[x_at] += share
        left[y_at] -= share
    return dx


# Vector quantisation: z is (M, D), the codebook (K, D), codes are (M,) int64 in [0, K).


def nearest_code(z, codebook):
    """argmin_k |z_m - e_k|^2, the lowest index where distances are equal.   (M, D), (K, D) -> (M,) int64.

        |z - e|^2 / 2 = |z|^2 / 2 + s,   s = |e|^2 / 2 - z.e

    The scores s, a product of matrices, are computed block by block. Rounding moves a score of dtype u by less than
    `slack`, so every code whose score is that near to the best one is compared again, by its distance summed in float64
    over d in order: so the codes always equal a brute-force search's in float64. A row with a NaN gets some code.
    """
    check_codebook(z, codebook)
    dtype = np.result_type(z, codebook, np.float32)
    codes, codebook = np.empty(len(z), np.int64), codebook.astype(dtype, copy=False)
    step = max(1, SCORES // len(codebook))
    with np.errstate(all="ignore"):  # scores that overflow are compared again
        half = (np.einsum("kd,kd->k", codebook, codebook, dtype=np.float64) / 2).astype(dtype)
        for start in range(0, len(z), step):
            rows = z[start : start + step].astype(dtype, copy=False)
            scores = half - rows @ codebook.T
            nearest = scores.argmin(axis=1)
            limits = scores.min(axis=1) + slack(np.einsum("md,md->m", rows, rows), half.max(), codebook.shape[1])
            far = scores > limits[:, None]  # not where either is NaN
            unsure = np.flatnonzero(np.count_nonzero(far, axis=1) < len(codebook) - 1)
            if unsure.size:
                nearest[unsure] = _compared(rows[unsure], codebook, ~far[unsure])
            codes[start : start + step] = nearest
    return codes


def code_sums(z, codes, count):
    """How many rows each code has, and their sum, both of z's dtype.   (M, D), (M,), K -> (K,), (K, D).

    Summed in float64 in the order of the rows and rounded once: the same bits on every run, for any number of threads.
    """
    check_codes(z, codes)
    if codes.size and not 0 <= codes.min() <= codes.max() < count:
        raise ShapeError(f"code_sums: expected codes in [0, {count}), got {codes.min()} to {codes.max()}")
    counts = np.bincount(codes, minlength=count).astype(z.dtype)
    sums = np.empty((count, z.shape[1]), z.dtype)
    for column, total in zip(z.T, sums.T, strict=True):
        total[:] = np.bincount(codes, weights=column, minlength=count)
    return counts, sums


def _compared(z, codebook, near):
    """For each row the nearest of the codes that are marked in `near` (M, K), by distances in float64."""
    distances = np.full(near.shape, np.inf)
    rows, codes = np.nonzero(near)
    step = max(1, NUMBERS // max(1, z.shape[1]))
    for start in range(0, len(rows), step):
        i, k = rows[start : start + step], codes[start : start + step]
        squares = (z[i].astype(np.float64) - codebook[k]) ** 2
        distances[i, k] = squares.cumsum(axis=1)[:, -1] if z.shape[1] else 0  # cumsum adds in order, sum in pairs
    return distances.argmin(axis=1)
