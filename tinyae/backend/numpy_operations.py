"""The operations as formulas, for NumPy; where CuPy has no kernel of its own, it computes the same formulas.

`operations` chooses between these functions and those of the same names for a GPU and in C++.
"""

from .modules import array_module


def batch_norm(x, scale, shift, epsilon, mean=None, var=None):  # x (N, ..., C), the others (C,)
    """Normalise each feature over all axes but the last, then scale and shift it (Ioffe & Szegedy 2015, algorithm 1).

        xhat = (x - mean) / sigma,   sigma = sqrt(var + epsilon),   y = scale xhat + shift

    mean, var: constants to normalise with; without them, those of x. Returns (y, mean, var, 1 / sigma).
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
