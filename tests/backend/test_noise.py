"""Counter-based noise: its bits against Philox written from the paper, its laws, its purity."""

import hashlib
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strict_cupy import installed

from tinyae.backend import Noise, as_noise

M64 = 2**64 - 1
FLOATS = ("float32", "float64")


def philox4x64(counter, key, rounds=10):
    """Salmon, Moraes, Dror and Shaw (SC 2011), in Python's own integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (p1 >> 64) ^ c1 ^ k0, p1 & M64, (p0 >> 64) ^ c3 ^ k1, p0 & M64
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & M64, (k1 + 0xBB67AE8584CAA73B) & M64
    return c0, c1, c2, c3


def raw_words(seed, step, name, count):
    """The first `count` 64-bit words of a draw."""
    key = seed & M64, int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    blocks = (philox4x64((block, step, 0, 0), key) for block in itertools.count(1))
    return list(itertools.islice(itertools.chain.from_iterable(blocks), count))


def uniforms(seed, step, name, count):
    """`count` Python floats: two 32-bit words of each 64-bit one, the low half first."""
    words = (half for word in raw_words(seed, step, name, (count + 1) // 2) for half in (word & 0xFFFFFFFF, word >> 32))
    return [((word >> 9) + 0.5) / 2**23 for word in words][:count]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("0 0 0 0", "0 0", "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
        (
            " ".join(["ffffffffffffffff"] * 4),
            "ffffffffffffffff ffffffffffffffff",
            "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
        ),
        (
            "243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89",
            "452821e638d01377 be5466cf34e90c6c",
            "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
        ),
    ],
)
def test_the_oracle_gives_the_known_answers_of_random123(counter, key, expected):
    counter, key, expected = ([int(word, 16) for word in text.split()] for text in (counter, key, expected))
    assert list(philox4x64(counter, key)) == expected


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**70),
    step=st.integers(0, 2**64 - 1),
    name=st.text(max_size=12),
    count=st.integers(0, 40),
    dtype=st.sampled_from(FLOATS),
)
def test_uniform_bits(seed, step, name, count, dtype):
    drawn = Noise(seed, step).uniform(name, (count,), dtype)
    assert drawn.dtype == dtype and drawn.shape == (count,)
    assert drawn.astype(float).tolist() == uniforms(seed, step, name, count)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("count", [1, 2, 7, 8, 33])
def test_normal_is_box_muller_of_adjacent_uniforms(count, dtype):
    u = uniforms(3, 5, "decoder.z", count + 1)
    expected = []
    for u1, u2 in zip(u[0:count:2], u[1 : count + 1 : 2], strict=True):
        radius = math.sqrt(-2 * math.log(u1))
        expected += [radius * math.cos(2 * math.pi * u2), radius * math.sin(2 * math.pi * u2)]
    drawn = Noise(3, 5, "decoder").normal("z", count, dtype)
    assert drawn.dtype == dtype
    # In float32 the angle is rounded to half an ulp of 2 pi: 2.4e-7, times a radius of at most 5.8.
    np.testing.assert_allclose(drawn, expected[:count], rtol=0, atol=3e-6 if dtype == "float32" else 1e-14)


def test_permutation_sorts_raw_words():
    words = raw_words(1, 2, "order", 50)
    order = Noise(1, 2).permutation(50, "order")
    assert order.dtype == np.int64
    assert order.tolist() == sorted(range(50), key=words.__getitem__)
    assert Noise(1, 2).permutation(50).tolist() != order.tolist()


def draws(noise):
    return [
        noise.uniform("u", (3, 5)),
        noise.normal("z", (3, 5)),
        noise.normal("z64", (3, 5), "float64"),
        noise.bernoulli("mask", (3, 5), 0.5),
        noise.permutation(15),
    ]


def test_pure():
    """Neither earlier draws, their order, nor global state has a say."""
    noise = Noise(11, 4, "layer")
    first = draws(noise)
    np.random.seed(0)
    noise.normal("something else", 100)
    again = draws(noise)
    fresh = [draws(Noise(11, 4, "layer"))[i] for i in reversed(range(5))][::-1]
    for a, b, c in zip(first, again, fresh, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_pinned_values():
    """The same on every machine and in every version: a saved seed keeps its meaning."""
    assert raw_words(2024, 7, "encoder.z", 2) == [0xC4AB15884BE048D5, 0x6DD7F557C253F8F0]
    normal = [0.1782962786743755, -1.549309996804323, -0.6699601285104743]
    np.testing.assert_allclose(Noise(2024, 7, "encoder").normal("z", 3, "float64"), normal, rtol=1e-14)
    assert Noise(2024, 7).permutation(6).tolist() == [0, 1, 5, 4, 3, 2]


@pytest.mark.parametrize("other", [Noise(1, 2, "b"), Noise(1, 3, "a"), Noise(2, 2, "a"), Noise(1, 2, "a").child("a")])
def test_streams_are_independent(other):
    n = 100_000
    a, b = Noise(1, 2, "a").normal("z", n, "float64"), other.normal("z", n, "float64")
    assert len(np.intersect1d(a, b)) < n / 100  # 23-bit uniforms do meet by chance
    for shift in (0, 1, 2, 8):
        assert abs(np.mean(a[shift:] * b[: n - shift])) < 4 / math.sqrt(n)
        assert abs(np.mean((a[shift:] ** 2 - 1) * (b[: n - shift] ** 2 - 1))) < 4 * 2 / math.sqrt(n)


def test_within_a_draw_values_are_independent():
    n = 200_000
    z = Noise(5).normal("z", n, "float64")
    for lag in (1, 2, 3, 4, 7, 8, 16):
        assert abs(np.mean(z[lag:] * z[:-lag])) < 4 / math.sqrt(n)
    cosine, sine = z.reshape(-1, 2).T
    assert abs(np.mean(cosine**2 * sine**2) - 1) < 4 * math.sqrt(8) / math.sqrt(n / 2)


def kolmogorov(sample, cdf):
    """The largest distance between the empirical and the true distribution function, times sqrt(n)."""
    n = len(sample)
    true = np.sort(cdf(sample))
    steps = np.arange(n + 1) / n
    return math.sqrt(n) * max(np.max(steps[1:] - true), np.max(true - steps[:-1]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_distributions(seed, dtype):
    n = 200_000
    noise = Noise(seed, 9)
    u = noise.uniform("u", n, dtype).astype(float)
    z = noise.normal("z", n, dtype).astype(float)
    # P(K > 1.95) = 0.001 for the Kolmogorov distribution; the seeds are fixed, so no luck is needed later.
    assert kolmogorov(u, lambda v: v) < 1.95
    assert kolmogorov(z, np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)))) < 1.95
    # Moments 1 to 4 of a normal: 0, 1, 0, 3, whose estimates have variances 1, 2, 15, 96 over n.
    for power, (moment, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert abs(np.mean(z**power) - moment) < 4 * math.sqrt(variance / n)
    assert abs(u.mean() - 1 / 2) < 4 * math.sqrt(1 / 12 / n)
    for p in (0.1, 0.5, 0.9):
        assert abs(noise.bernoulli("b", n, p, dtype).mean(dtype=float) - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_uniform_is_the_same_in_both_dtypes_and_strictly_inside():
    a, b = (Noise(0).uniform("u", 1_000_000, dtype) for dtype in FLOATS)
    np.testing.assert_array_equal(a, b)
    assert 0 < a.min() and a.max() < 1


def test_extreme_words_stay_inside():
    """The words 0 and 2^32 - 1 themselves, through the same arithmetic: no 0, no 1, no infinite normal."""
    from tinyae.backend.noise import _normal, _uniform

    class Bits:
        def random_raw(self, n):
            return np.array([0, M64, 0xFFFFFFFF, 0xFFFFFFFF << 32], np.uint64)[:n]

    for dtype in FLOATS:
        u = _uniform(Bits(), 8, dtype)
        assert u.min() == 2.0**-24 and u.max() == 1 - 2.0**-24
        z = _normal(Bits(), 8, dtype)
        assert np.isfinite(z).all() and abs(z).max() <= math.sqrt(48 * math.log(2)) * (1 + 1e-6)


def test_bernoulli():
    noise = Noise(8)
    for dtype in FLOATS:
        assert not noise.bernoulli("m", 10_000, 0.0, dtype).any()
        assert noise.bernoulli("m", 10_000, 1.0, dtype).all()
        mask = noise.bernoulli("m", (100, 100), 0.3, dtype)
        assert mask.dtype == dtype and set(np.unique(mask)) == {0, 1}
        np.testing.assert_array_equal(mask, noise.uniform("m", (100, 100), dtype) < np.float32(0.3))
    each = np.array([0.0, 1.0, 0.0], "float32")
    np.testing.assert_array_equal(noise.bernoulli("m", (5, 3), each), np.tile(each, (5, 1)))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(0, 300), seed=st.integers(0, 2**32))
def test_permutation_is_one(n, seed):
    order = Noise(seed).permutation(n)
    assert order.dtype == np.int64 and sorted(order.tolist()) == list(range(n))
    np.testing.assert_array_equal(order, Noise(seed).permutation(n))


def test_every_order_of_three_is_as_likely():
    counts = {}
    for seed in range(6000):
        order = tuple(Noise(seed).permutation(3).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 20.5  # chi-squared, 5 degrees, p = 0.001


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5,), (3, 5), (2, 3, 4, 5), 7, [2, 3], (np.int64(2), 3)])
def test_shapes(kind, shape, dtype):
    drawn = getattr(Noise(1), kind)("x", shape, dtype)
    expected = (shape,) if isinstance(shape, int) else tuple(shape)
    assert isinstance(drawn, np.ndarray) and drawn.shape == expected and drawn.dtype == dtype
    assert drawn.flags.c_contiguous and drawn.flags.writeable


@settings(max_examples=30, deadline=None)
@given(short=st.integers(0, 70), more=st.integers(0, 70), dtype=st.sampled_from(FLOATS))
def test_a_longer_draw_begins_with_the_shorter(short, more, dtype):
    noise = Noise(6)
    for kind, tolerance in (("uniform", 0), ("normal", 4)):  # a vectorised log may round its last elements differently
        a, b = (getattr(noise, kind)("x", n, dtype) for n in (short, short + more))
        if short:
            np.testing.assert_array_max_ulp(a, b[:short], tolerance)


def test_names_and_children():
    noise = Noise(1, 2, "encoder")
    np.testing.assert_array_equal(noise.child("1").normal("z", 4), Noise(1, 2).normal("encoder.1.z", 4))
    assert noise.child("1").path == "encoder.1" and noise.child(1).path == "encoder.1"
    assert Noise(1).child("encoder").path == "encoder"
    assert "seed=1" in repr(noise) and "encoder" in repr(noise)


def test_given_arrays_replace_draws():
    z = np.arange(6, dtype=np.float32).reshape(2, 3)
    noise = Noise(1, given={"encoder.z": z, "order": np.array([2, 0, 1], np.int32)}).child("encoder")
    assert noise.normal("z", (2, 3)) is z and noise.uniform("z", [2, 3]) is z
    as64 = noise.normal("z", (2, 3), "float64")
    assert as64.dtype == np.float64 and (as64 == z).all()
    assert noise.bernoulli("z", (2, 3), 0.5) is z
    np.testing.assert_array_equal(noise.normal("other", 3), Noise(1).normal("encoder.other", 3))
    order = Noise(1, given=noise.given).permutation(3, "order")
    assert order.dtype == np.int64 and order.tolist() == [2, 0, 1]


def test_given_arrays_are_checked():
    noise = Noise(1, given={"z": np.zeros((2, 3)), "rows": [1.0, 2.0], "order": np.zeros((3, 1), int)})
    with pytest.raises(ValueError, match=r"^noise 'z': expected shape \(3, 2\), got \(2, 3\)$"):
        noise.normal("z", (3, 2))
    with pytest.raises(ValueError, match="'order'"):
        noise.permutation(3, "order")
    with pytest.raises(TypeError, match="^noise 'rows': expected an array of numpy, got list$"):
        noise.uniform("rows", 2)


@pytest.mark.parametrize("bad", [-1, 1.0, "1", None, True, np.float64(2)])
def test_bad_seeds_and_steps(bad):
    with pytest.raises(ValueError, match="^noise: seed must be an integer of at least 0"):
        Noise(bad)
    with pytest.raises(ValueError, match="^noise: step must be an integer of at least 0"):
        Noise(0, bad)


def test_bad_step_and_dtype():
    with pytest.raises(ValueError, match="step must be below"):
        Noise(0, 2**64)
    for draw in (Noise(0).uniform, Noise(0).normal):
        with pytest.raises(ValueError, match="dtype must be float32 or float64, got int32"):
            draw("x", 3, "int32")
    with pytest.raises(ValueError, match="dtype"):
        Noise(0).bernoulli("x", 3, 0.5, bool)


def test_as_noise():
    noise = Noise(5)
    assert as_noise(noise) is noise
    assert as_noise(7).seed == 7 and as_noise(np.int64(7)).seed == 7
    a, b = (as_noise(np.random.default_rng(3)) for _ in range(2))
    assert a.seed == b.seed == int(np.random.default_rng(3).integers(2**63)) and type(a.seed) is int
    rng = np.random.default_rng(3)
    assert as_noise(rng).seed != as_noise(rng).seed
    for bad in (None, "7", 7.0, True, np.random):
        with pytest.raises(TypeError, match="^rng must be a Noise, an int seed or a numpy.random.Generator, got"):
            as_noise(bad)


def test_importing_and_creating_noise_leaves_numpy_random_alone():
    code = "import sys; from tinyae.backend import Noise; Noise(1); sys.exit('numpy.random' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_device_draws_the_same(dtype):
    """The CUDA kernels, on the CPU: uniforms bit for bit, normals to rounding, and nothing copied to the host."""
    with installed() as cupy:
        seed, step = 2**64 - 3, 2**40 + 1
        host, device = Noise(seed, step, "layer"), Noise(seed, step, "layer", xp=cupy)
        for shape in ((), (0,), (1,), (7,), (8,), (9,), (3, 5, 7), (1001,)):
            for kind, *more in (("uniform",), ("bernoulli", 0.3), ("normal",)):
                expected = getattr(host, kind)("x", shape, *more, dtype=dtype)
                drawn = getattr(device, kind)("x", shape, *more, dtype=dtype)
                assert isinstance(drawn, cupy.ndarray) and drawn.dtype == dtype and drawn.shape == shape
                assert cupy.host_syncs == 0
                tolerance = 8 * np.finfo(dtype).eps if kind == "normal" else 0
                np.testing.assert_allclose(drawn._host, expected, rtol=tolerance, atol=tolerance)
        order = device.permutation(100)
        assert isinstance(order, np.ndarray)
        np.testing.assert_array_equal(order, host.permutation(100))


def test_given_arrays_of_the_other_module():
    with installed() as cupy:
        z = cupy.ones(3, "float32")
        assert Noise(0, xp=cupy, given={"z": z}).normal("z", 3) is z
        with pytest.raises(TypeError, match="expected an array of numpy"):
            Noise(0, given={"z": z}).normal("z", 3)
        with pytest.raises(TypeError, match="expected an array of cupy"):
            Noise(0, xp=cupy, given={"z": np.ones(3)}).normal("z", 3)
