"""Clipping of a gradient by its global norm."""

from ..backend import array_module


def global_norm(flat):
    """The length of a flat gradient.

        sqrt(sum g^2)

    Parameters
    ----------
    flat : (P,) array
        The gradient.

    Returns
    -------
    norm : () array
        On the device of the gradient.

    Example
    -------
    >>> import numpy as np
    >>> float(global_norm(np.array([3.0, 4.0])))
    5.0
    """
    return (flat @ flat) ** 0.5


def clip_by_global_norm(flat, max_norm):
    """Scales a flat gradient to a norm of at most `max_norm`, in place (Pascanu et al. 2013).

        g *= min(1, max_norm / |g|)

    Parameters
    ----------
    flat : (P,) array
        The gradient; NaN stays NaN, for the loop to notice.
    max_norm : float
        The largest norm.

    Returns
    -------
    norm : () array
        The norm before.

    Example
    -------
    >>> import numpy as np
    >>> g = np.array([3.0, 4.0])
    >>> float(clip_by_global_norm(g, 1.0)), g.round(6).tolist()
    (5.0, [0.6, 0.8])
    """
    xp = array_module(flat)
    norm = global_norm(flat)
    flat *= max_norm / xp.maximum(norm, max_norm)
    return norm
