"""Vector quantisation (van den Oord et al. 2017): every vector of a map gives way to the nearest code of a codebook.

    codes = argmin_k |z - e_k|^2,    q = e[codes]          z (..., D), codebook e (K, D), codes (...) integers

Nothing flows back through argmin. So the decoder's gradient by q is passed on as that by z (straight through), and two
losses of the same value draw codes and vectors together, each with the other side held still (their equation 3):

    L = -log p(x|q) + |sg(z) - q|^2 + beta |z - sg(q)|^2

Losses are summed over positions and D and averaged over the batch; `batch_size` is what to divide by where the rows are
a part of a larger batch.
"""

from ..backend import array_module
from ..backend.indices import rows
from ..backend.operations import code_sums, nearest_code
from ..batch import examples, same_shape
from ..errors import ShapeError
from ..losses import mse


def nearest(z, codebook):
    """The index of the nearest code of each vector.

        codes = argmin_k |z - e_k|^2,   the lowest k of equals

    Parameters
    ----------
    z : (..., D) array
        Vectors.
    codebook : (K, D) array
        Codes.

    Returns
    -------
    codes : (...) int64 array
        In [0, K).

    Raises
    ------
    ShapeError
        If z and the codebook differ in D.

    Example
    -------
    >>> import numpy as np
    >>> nearest(np.array([[0.9, 0.0], [0.1, 0.1]]), np.array([[0.0, 0.0], [1.0, 0.0]])).tolist()
    [1, 0]
    """
    if z.ndim < 1 or codebook.ndim != 2 or z.shape[-1] != codebook.shape[1]:
        raise ShapeError(f"nearest: vectors {z.shape} and codebook {codebook.shape} must share their last axis")
    return nearest_code(z.reshape(-1, z.shape[-1]), codebook).reshape(z.shape[:-1])


def lookup(codebook, codes):
    """The vectors of codes.

        q = e[codes]

    Parameters
    ----------
    codebook : (K, D) array
        Codes.
    codes : (...) integers
        In [0, K).

    Returns
    -------
    q : (..., D) array
        Rows of the codebook.

    Raises
    ------
    DataError
        For a code outside [0, K); on a device its vector is NaN.

    Example
    -------
    >>> import numpy as np
    >>> lookup(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([1])).tolist()
    [[1.0, 0.0]]
    """
    return rows(codebook, codes, "lookup")


def straight_through(z, quantized):
    """The straight-through estimator: the value of the code, the gradient of the vector.

        y = z + sg(q - z),   dz = dy,   sg: stop-gradient (van den Oord et al. 2017)

    Parameters
    ----------
    z, quantized : (..., D) arrays
        Vectors, and their codes q.

    Returns
    -------
    y : (..., D) array
        Equal to q.
    cache : tuple or None
        The argument of `straight_through_backward`.

    Example
    -------
    >>> import numpy as np
    >>> y, cache = straight_through(np.array([0.9]), np.array([1.0]))
    >>> y.tolist(), straight_through_backward(cache, np.array([2.0])).tolist()
    ([1.0], [2.0])
    """
    if z.shape != quantized.shape:
        raise ShapeError(f"straight_through: z {z.shape} and its code {quantized.shape} must have one shape")
    return quantized, None


def straight_through_backward(cache, dy):
    """The gradient of `straight_through`: dz = dy, the identity.

    Parameters
    ----------
    cache : tuple or None
        As `straight_through` returns it.
    dy : (..., D) array
        The gradient of y.

    Returns
    -------
    dz : (..., D) array
        Equal to dy.

    Example
    -------
    >>> import numpy as np
    >>> straight_through_backward(None, np.array([2.0])).tolist()
    [2.0]
    """
    return dy


def commitment_loss(z, quantized, batch_size=None):
    """The commitment loss, which keeps vectors near their codes (van den Oord et al. 2017, equation 3).

        loss = 1/N sum |z - sg(q)|^2,   dz = 2 (z - q) / N

    Parameters
    ----------
    z, quantized : (N, ..., D) arrays
        Vectors, and their codes q.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        Squared units of z.
    dz : (N, ..., D) array
        Its gradient.

    Example
    -------
    >>> import numpy as np
    >>> loss, dz = commitment_loss(np.array([[1.0]]), np.array([[0.0]]))
    >>> float(loss), dz.tolist()
    (1.0, [[2.0]])
    """
    return mse(z, quantized, batch_size)


def codebook_loss(z, codebook, codes, batch_size=None):
    """The codebook loss, which moves codes to their vectors (van den Oord et al. 2017, equation 3).

        loss = 1/N sum |sg(z) - e[codes]|^2,   de_k = 2/N (n_k e_k - sum of the n_k vectors with code k)

    Parameters
    ----------
    z : (N, ..., D) array
        Vectors.
    codebook : (K, D) array
        Codes e.
    codes : (N, ...) integers
        The code of each vector.
    batch_size : int, optional
        What the mean divides by where the rows are a part of a larger batch; by default their number N.

    Returns
    -------
    loss : () array
        Squared units of z.
    dcodebook : (K, D) array
        Its gradient.

    Example
    -------
    >>> import numpy as np
    >>> loss, de = codebook_loss(np.array([[1.0]]), np.array([[0.0], [9.0]]), np.array([0]))
    >>> float(loss), de.tolist()
    (1.0, [[-2.0], [0.0]])
    """
    units = z.shape[-1]
    loss, _ = mse(lookup(codebook, codes), z, batch_size)
    counts, sums = code_sums(z.reshape(-1, units), codes.reshape(-1), len(codebook))
    return loss, codebook_gradient(codebook, counts, sums, examples(z, batch_size))


def codebook_gradient(codebook, counts, sums, batch_size):
    """The gradient of `codebook_loss` from the vectors summed by code.

        de_k = 2/N (n_k e_k - m_k)

    Parameters
    ----------
    codebook : (K, D) array
        Codes e.
    counts : (K,) array
        n_k, the number of vectors with code k.
    sums : (K, D) array
        m_k, the sum of the vectors with code k.
    batch_size : int
        N.

    Returns
    -------
    dcodebook : (K, D) array
        The gradient.

    Example
    -------
    >>> import numpy as np
    >>> codebook_gradient(np.array([[1.0]]), np.array([2.0]), np.array([[3.0]]), 1).tolist()
    [[-2.0]]
    """
    return (2 / batch_size) * (counts[:, None] * codebook - sums)


def smoothed(counts, epsilon=1e-5):
    """Counts without zeros, by Laplace's smoothing (van den Oord et al. 2017, appendix A.1, as their code has it).

        (n_k + epsilon) n / (n + K epsilon),   n = sum_k n_k

    Parameters
    ----------
    counts : (K,) array
        n_k.
    epsilon : float, default 1e-5
        Added to each count.

    Returns
    -------
    counts : (K,) array
        Of the same sum.

    Example
    -------
    >>> import numpy as np
    >>> bool((smoothed(np.array([0.0, 4.0])) > 0).all())
    True
    """
    total = counts.sum()
    return (counts + epsilon) * (total / (total + len(counts) * epsilon))


def moving_average(counts, sums, batch_counts, batch_sums, decay):
    """One step of a codebook that follows moving averages (van den Oord et al. 2017, appendix A.1).

        n_k = decay n_k + (1 - decay) batch n_k,   m_k = decay m_k + (1 - decay) batch m_k,   e_k = m_k / smoothed(n)_k

    Start with n_k = 1 and m_k = e_k: from n_k = 0, a code that the first batches do not use would jump to the origin.

    Parameters
    ----------
    counts, sums : (K,) and (K, D) arrays
        n and m, which are changed in place.
    batch_counts, batch_sums : (K,) and (K, D) arrays
        The counts and sums of a batch.
    decay : float
        The share of the averages that the step keeps.

    Returns
    -------
    codebook : (K, D) array
        The new codes e.

    Example
    -------
    >>> import numpy as np
    >>> n, m = np.ones(1), np.array([[2.0]])
    >>> moving_average(n, m, np.ones(1), np.array([[4.0]]), 0.5).round(3).tolist()
    [[3.0]]
    """
    counts *= decay
    counts += (1 - decay) * batch_counts
    sums *= decay
    sums += (1 - decay) * batch_sums
    return sums / smoothed(counts)[:, None]


def unit(z, epsilon=1e-6):
    """Vectors of length 1, for codes compared by their cosine (Yu et al. 2022, section 3.2).

        y = z / |z|,   |z| = sqrt(sum z^2 + epsilon)

    A blank region of an image has z = 0 at first, since biases are 0. There the gradient is 1 / sqrt(epsilon) times the
    gradient of y; with a smaller epsilon it would drown all others.

    Parameters
    ----------
    z : (..., D) array
        Vectors.
    epsilon : float, default 1e-6
        Added to the squared length.

    Returns
    -------
    y : (..., D) array
        Vectors of length 1.
    cache : tuple
        The argument of `unit_backward`.

    Example
    -------
    >>> import numpy as np
    >>> unit(np.array([[3.0, 4.0]]))[0].round(4).tolist()
    [[0.6, 0.8]]
    """
    length = array_module(z).sqrt((z * z).sum(axis=-1, keepdims=True) + epsilon)
    y = z / length
    return y, (y, length)


def unit_backward(cache, dy):
    """The gradient of `unit`: only the part that turns the vector counts.

        dz = (dy - y <y, dy>) / |z|

    Parameters
    ----------
    cache : tuple
        As `unit` returns it.
    dy : (..., D) array
        The gradient of y.

    Returns
    -------
    dz : (..., D) array
        The gradient of z.

    Example
    -------
    >>> import numpy as np
    >>> y, cache = unit(np.array([[3.0, 4.0]]))
    >>> abs(unit_backward(cache, y).round(4)).tolist()
    [[0.0, 0.0]]
    """
    y, length = cache
    same_shape("unit_backward", y, dy)
    return (dy - y * (y * dy).sum(axis=-1, keepdims=True)) / length


def perplexity(counts):
    """The number of codes in use: exp of the entropy of their shares.

        exp(-sum_k p_k log p_k),   p = counts / sum(counts)

    Parameters
    ----------
    counts : (..., K) NumPy array
        How often each code is used, over an epoch or a data set; over a batch the perplexity would be too low.

    Returns
    -------
    perplexity : float or (...) array
        From 1 to K.

    Example
    -------
    >>> import numpy as np
    >>> round(float(perplexity(np.array([5, 5, 0]))), 4)
    2.0
    """
    total = counts.sum(axis=-1, keepdims=True)
    shares = counts / (total + (total == 0))
    logs = array_module(counts).log(shares + (shares == 0))
    return array_module(counts).exp(-(shares * logs).sum(axis=-1))

