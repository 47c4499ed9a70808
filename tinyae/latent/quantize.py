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
    """argmin_k |z - e_k|^2 of each vector, the lowest k of equals.   (..., D), (K, D) -> (...) int64."""
    if z.ndim < 1 or codebook.ndim != 2 or z.shape[-1] != codebook.shape[1]:
        raise ShapeError(f"nearest: vectors {z.shape} and codebook {codebook.shape} must share their last axis")
    return nearest_code(z.reshape(-1, z.shape[-1]), codebook).reshape(z.shape[:-1])


def lookup(codebook, codes):
    """q = e[codes].   (K, D), (...) integers -> (..., D). A code that is none: DataError, on a device NaN."""
    return rows(codebook, codes, "lookup")


def straight_through(z, quantized):
    """y = z + sg(q - z), which is q: forward the code, backward as if it were z. Returns (y, cache)."""
    if z.shape != quantized.shape:
        raise ShapeError(f"straight_through: z {z.shape} and its code {quantized.shape} must have one shape")
    return quantized, None


def straight_through_backward(cache, dy):
    """dz = dy, the identity."""
    return dy


def commitment_loss(z, quantized, batch_size=None):
    """1/N sum |z - sg(q)|^2;  dz = 2 (z - q) / N. Returns (loss, dz)."""
    return mse(z, quantized, batch_size)


def codebook_loss(z, codebook, codes, batch_size=None):
    """1/N sum |sg(z) - e[codes]|^2;  de_k = 2/N (n_k e_k - sum of the z whose code is k), n_k their number.

    Returns (loss, dcodebook).
    """
    units = z.shape[-1]
    loss, _ = mse(lookup(codebook, codes), z, batch_size)
    counts, sums = code_sums(z.reshape(-1, units), codes.reshape(-1), len(codebook))
    return loss, codebook_gradient(codebook, counts, sums, examples(z, batch_size))


def codebook_gradient(codebook, counts, sums, batch_size):
    """de of `codebook_loss` from the counts (K,) and the sums (K, D) of the vectors by code."""
    return (2 / batch_size) * (counts[:, None] * codebook - sums)


def smoothed(counts, epsilon=1e-5):
    """Laplace's smoothing: (n_k + epsilon) n / (n + K epsilon), n = sum_k n_k, none of which is 0.   (K,) -> (K,)

    (van den Oord et al. 2017, appendix A.1, as their code has it).
    """
    total = counts.sum()
    return (counts + epsilon) * (total / (total + len(counts) * epsilon))


def moving_average(counts, sums, batch_counts, batch_sums, decay):
    """One step of a codebook without a gradient; moves counts (K,) and sums (K, D) in place and returns their ratio.

        n_k = decay n_k + (1 - decay) batch n_k,   m_k = decay m_k + (1 - decay) batch m_k,   e_k = m_k / smoothed(n)_k

    (their appendix A.1). Start with n_k = 1 and m_k = e_k: from n_k = 0, a code that the first batches do not
    use would jump to the origin.
    """
    counts *= decay
    counts += (1 - decay) * batch_counts
    sums *= decay
    sums += (1 - decay) * batch_sums
    return sums / smoothed(counts)[:, None]


def unit(z, epsilon=1e-6):
    """z / |z| of each vector, by which the nearest code is that of the largest cosine (Yu et al. 2022, section 3.2).

    |z| is sqrt(sum z^2 + epsilon). What an image is blank in has z = 0 at first, since biases are; there the gradient
    is 1 / sqrt(epsilon) times that of y, which a smaller epsilon lets drown all others. Returns (y, cache).
    """
    length = array_module(z).sqrt((z * z).sum(axis=-1, keepdims=True) + epsilon)
    y = z / length
    return y, (y, length)


def unit_backward(cache, dy):
    """dz = (dy - y <y, dy>) / |z|: only what turns the vector counts."""
    y, length = cache
    same_shape("unit_backward", y, dy)
    return (dy - y * (y * dy).sum(axis=-1, keepdims=True)) / length


def perplexity(counts):
    """exp of the entropy of the codes' shares (..., K), as a float or an array (...): how many codes are in use.

    counts: NumPy, over an epoch or a data set; over a batch it would be too low.
    """
    total = counts.sum(axis=-1, keepdims=True)
    shares = counts / (total + (total == 0))
    logs = array_module(counts).log(shares + (shares == 0))
    return array_module(counts).exp(-(shares * logs).sum(axis=-1))

