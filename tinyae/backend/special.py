"""The normal distribution's cumulative function, which NumPy lacks."""

from . import array_module

FAR = 40.0  # beyond it the tail is 0 in float64, as exp(-800)
MIDDLE = 5.0
# P(q) of `normal_cdf`: Chebyshev interpolation of degree 22 on [-1, 34/44], in 50 digits, as powers of q. It is
# within 1e-17 of the function, which lies between 0.79 and 1.22.
TAIL = (
    0.9230316597000755, -0.18310456366801764, 0.06206073685192706, 0.02000470477041229, -0.052802085932620854,
    0.049073926488849104, -0.030340830804363898, 0.013044001313608717, -0.003352144703725264, 1.5583372300926236e-05,
    0.0003646684388998641, -0.00010721602036000207, -1.9793051121279947e-05, 1.8122215220186813e-05,
    -1.3769029852774235e-07, -2.6195802751169435e-06, 2.491959130818935e-07, 3.973256570232895e-07,
    -4.385049001937021e-08, -6.37129320754101e-08, 7.923371349966398e-10, 7.925076733101518e-09,
    1.4830072856509755e-09,
)  # fmt: skip


def normal_cdf(x):
    """Phi(x) = (1 + erf(x / sqrt(2))) / 2, the probability that a standard normal is below x.   (...) -> (...).

    With a = |x|, the tail is a smooth function times the density's exponential (the form of Shepherd and Laframboise
    1981, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc(x)"):

        Phi(-a) = exp(-a^2 / 2) P(q) / (2 + 2 a),   q = (a - 5) / (a + 5),        Phi(a) = 1 - Phi(-a)

    The relative error is below 1e-15 in float64, in both tails too; float32 is computed in float64 and rounded once.
    """
    xp = array_module(x)
    a = xp.minimum(xp.abs(x.astype("float64", copy=False)), FAR)
    q = (a - MIDDLE) / (a + MIDDLE)
    p = xp.full_like(a, TAIL[-1])
    for coefficient in TAIL[-2::-1]:
        p *= q
        p += coefficient
    p /= 2 + 2 * a
    # a^2 = h^2 + 2 d with h of 24 bits, so that h^2 is exact: a^2 rounded by u is an exponential off by a^2 u / 2.
    h = a.astype("float32").astype("float64")
    d = 0.5 * (a - h) * (a + h)
    p *= xp.exp(-0.5 * h * h)
    p *= 1 - d * (1 - d * (0.5 - d / 6))
    return xp.where(x < 0, p, 1 - p).astype(x.dtype, copy=False)
