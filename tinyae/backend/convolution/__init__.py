"""Convolution over images (N, H, W, C): three operations, which serve convolution and transposed convolution alike.

With kernel w (kh, kw, C, O), stride s, dilation d and padding p before the first row and column, and x zero outside,

    output           y[n, i, j, o]  = sum_uvc  x[n, i s + u d - p, j s + v d - p, c] w[u, v, c, o]
    input gradient   dx[n, a, b, c] = sum_uvo  dy[n, i, j, o] w[u, v, c, o],  i s + u d - p = a, j s + v d - p = b
    weight gradient  dw[u, v, c, o] = sum_nij  x[n, i s + u d - p, j s + v d - p, c] dy[n, i, j, o]

y is a sum of products x w, one for each window and tap. So dx collects dy w over the windows that see a pixel, and dw
collects x dy over the windows, each with the same indices as in y.

The input gradient gathers, instead of scattering, as the output does: the positions a = q (mod s) see the same taps of
the kernel, so each of the s x s phases is a plain correlation of dy with a part of the kernel (`geometry`).

Three ways lead to the same numbers, and `operations` chooses. `patches` lays windows out as the rows of a matrix, on
NumPy and CuPy. `winograd` is the fast algorithm for kernels of three rows without stride, on NumPy. `compiled` prepares
what the C++ walks over.
"""

from .geometry import Geometry

__all__ = ["Geometry"]
