"""Counter-based noise: every draw is a pure function of (seed, step, name, shape).

The generator is Philox4x64-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
laid out as in `numpy.random.Philox`:

    key      [seed mod 2^64, BLAKE2b-64 of the name]
    counter  [block, step, 0, 0]     block = 1, 2, ...: NumPy adds 1 to word 0 *before* it computes a block

Each block gives four 64-bit words; each of these is split into two 32-bit words, the low half first. Word i makes
element i of a draw (in C order), so a longer draw begins with the shorter one. On the CPU the words come from NumPy's
own generator, on a GPU from a kernel (`kernels.cu`) that computes the same bits where they are used.
"""

import math
import operator

import numpy as np

from ..errors import ConfigError, ShapeError
from ..options import SEED, shown
from . import memory
from .modules import module, packed, unpacked

__all__ = ["Noise", "as_noise"]


class Noise:
    """Named draws for one training step.

    seed   int >= 0, taken modulo 2^64
    step   int in [0, 2^64): the training step, so that every step draws anew
    path   prefix of every name: a draw "z" under "encoder" is "encoder.z"
    xp     numpy or cupy: where the draws live
    given  dict of arrays by full name that replace the draws of those names

    Two draws of one name are the same draw: give every use its own name.
    """

    __slots__ = ("seed", "step", "path", "xp", "given", "part")

    def __init__(self, seed, step=0, path="", xp=np, given=None):
        self.seed = SEED.check("seed", seed, "noise") % 2**64
        self.step = SEED.check("step", step, "noise")
        if self.step >= 2**64:
            raise ConfigError(f"noise: step must be below 2^64, got {shown(step)}")
        self.path = path
        self.xp = xp
        self.given = {} if given is None else given
        self.part = None

    def __reduce__(self):
        return _restored, (self.seed, self.step, self.path, self.xp.__name__, packed(self.given), self.part)

    def __repr__(self):
        return f"Noise(seed={self.seed}, step={self.step}, path={self.path!r}, xp={self.xp.__name__})"

    def child(self, name):
        """The same noise one level down: path "encoder" and name "1" make path "encoder.1"."""
        return self._like(self.full_name(name), self.part)

    def rows(self, start, stop, count):
        """The noise of the examples start..stop of a batch of `count`: rows of what the whole batch would draw.

        Every draw then needs the examples as its first axis.
        """
        return self._like(self.path, (start, stop, count))

    def _like(self, path, part):
        """This noise with another path and part; every layer of every step asks for one, so nothing is checked anew."""
        noise = object.__new__(Noise)
        noise.seed, noise.step, noise.xp, noise.given = self.seed, self.step, self.xp, self.given
        noise.path, noise.part = path, part
        return noise

    def full_name(self, name):
        return f"{self.path}.{name}" if self.path else str(name)

    def uniform(self, name, shape, dtype="float32"):
        """Uniform on the open interval (0, 1): ((word >> 9) + 1/2) 2^-23, of `shape`.

        Odd multiples of 2^-24 from 2^-24 to 1 - 2^-24: exact in float32, hence the same numbers in both dtypes.
        """
        return self._draw("uniform", name, shape, dtype)

    def normal(self, name, shape, dtype="float32"):
        """Standard normal of `shape`, computed in `dtype` from pairs of uniforms (Box and Muller, 1958).

        Elements 2k and 2k+1 are r cos(a) and r sin(a), with r = sqrt(-2 ln u_2k) and a = 2 pi u_2k+1: a pair is one
        64-bit word. |z| is at most sqrt(48 ln 2) = 5.77.
        """
        return self._draw("normal", name, shape, dtype)

    def bernoulli(self, name, shape, probability, dtype="float32"):
        """1 where uniform < probability, else 0, of `shape`; `probability` is a number or broadcasts to `shape`."""
        dtype = _float_dtype(dtype)
        ones = self._given(name, shape, self.xp)
        if ones is None:
            # Compared as float32 whatever dtype is asked for, so that both dtypes get the same zeros and ones.
            ones = self.uniform(name, shape, "float32") < probability
        return ones.astype(dtype, copy=False)

    def permutation(self, n, name="permutation"):
        """A random order of range(n): (n,) int64, on the host for either backend. Sorts n raw 64-bit words, stably."""
        order = self._given(name, n, np)
        if order is None:
            order = np.argsort(self._bits(name).random_raw(n), kind="stable")
        return order.astype(np.int64, copy=False)

    def _draw(self, kind, name, shape, dtype):
        shape, dtype = _shape(shape), _float_dtype(dtype)
        memory.require(math.prod(shape), dtype.itemsize, f"{shape} random numbers", "ask for fewer, or a smaller model")
        given = self._given(name, shape, self.xp)
        if given is not None:
            return given.astype(dtype, copy=False)
        start, whole = 0, shape
        if self.part is not None:
            start, stop, _ = self.part
            whole = self._whole(name, shape, stop)
        if self.xp is np:
            draw = _uniform if kind == "uniform" else _normal
            # Begin with the block that holds the first element, and drop what comes before it in that block.
            block, skip = divmod(start * math.prod(shape[1:]), 8)
            return draw(self._bits(name, block), skip + math.prod(shape), dtype)[skip:].reshape(shape)
        from . import cuda

        draw = cuda.philox_uniform if kind == "uniform" else cuda.philox_normal
        drawn = draw(self._key(name), self.step, whole, dtype)
        return drawn[start:] if start else drawn

    def _given(self, name, shape, xp):
        full = self.full_name(name)
        array = self.given.get(full)
        if array is None:
            return None
        if not isinstance(array, xp.ndarray):
            raise TypeError(f"noise {full!r}: expected an array of {xp.__name__}, got {type(array).__name__}")
        expected = _shape(shape) if self.part is None else self._whole(name, _shape(shape), self.part[2])
        if array.shape != expected:
            raise ShapeError(f"noise {full!r}: expected shape {expected}, got {array.shape}")
        return array if self.part is None else array[self.part[0] : self.part[1]]

    def _whole(self, name, shape, count):
        """A part's shape with `count` examples in place of the part's own."""
        start, stop, _ = self.part
        if not shape or shape[0] != stop - start:
            raise ValueError(f"noise {self.full_name(name)!r}: a part of {stop - start} examples cannot draw {shape}")
        return (count, *shape[1:])

    def _key(self, name):
        import hashlib  # here, as it takes milliseconds: a trained model may never draw

        digest = hashlib.blake2b(self.full_name(name).encode(), digest_size=8).digest()
        return self.seed, int.from_bytes(digest, "little")

    def _bits(self, name, block=0):
        from numpy.random import Philox  # here for the same reason

        return Philox(key=np.array(self._key(name), np.uint64), counter=np.array((block, self.step, 0, 0), np.uint64))


def _restored(seed, step, path, name, given, part):
    """The Noise that was pickled, on its device again."""
    return Noise(seed, step, path, module(name), unpacked(given))._like(path, part)


def as_noise(rng):
    """A Noise as it is; an int as its seed; a numpy.random.Generator gives one 63-bit draw as the seed."""
    if isinstance(rng, Noise):
        return rng
    if _is_int(rng):
        return Noise(rng)
    if isinstance(rng, np.random.Generator):
        return Noise(int(rng.integers(2**63)))
    raise TypeError(f"rng must be a Noise, an int seed or a numpy.random.Generator, got {type(rng).__name__}")


def _uniform(bits, n, dtype):
    """(n,) uniforms from the bit generator's next words."""
    # "<": on a big-endian machine too, the low half of a 64-bit word comes first.
    words = bits.random_raw((n + 1) // 2).astype("<u8", copy=False).view("<u4")
    uniform = (words >> 9).astype(dtype)
    uniform += 0.5
    uniform *= 2.0**-23
    return uniform[:n]


def _normal(bits, n, dtype):
    """(n,) normals; an odd n drops the sine of the last pair."""
    radius, angle = _uniform(bits, n + n % 2, dtype).reshape(-1, 2).T.copy()
    radius = np.sqrt(-2.0 * np.log(radius))
    angle *= 2.0 * math.pi
    normal = np.empty((len(radius), 2), dtype)
    np.multiply(radius, np.cos(angle), out=normal[:, 0])
    np.multiply(radius, np.sin(angle), out=normal[:, 1])
    return normal.reshape(-1)[:n]


def _is_int(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _shape(shape):
    return tuple(map(operator.index, shape)) if isinstance(shape, (tuple, list)) else (operator.index(shape),)


def _float_dtype(dtype):
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ConfigError(f"noise: dtype must be float32 or float64, got {dtype}")
    return dtype
