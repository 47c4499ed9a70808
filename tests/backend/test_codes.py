"""Nearest codes against brute force in float64, sums by code against sums in order; all the ways to compute them."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strict_cupy import installed, read_only

from tinyae.backend import cuda, cupy_operations, native, numpy_operations, operations, threads
from tinyae.errors import ShapeError

WAYS = ("compiled", "numpy", "cuda")
way = pytest.mark.parametrize("way", WAYS)
double = pytest.mark.parametrize("dtype", ("float32", "float64"))


@contextlib.contextmanager
def going(way):
    """(to the device, back from it) while the functions go one way."""
    if way == "compiled" and native.library() is None:
        pytest.skip(native.status())
    with contextlib.ExitStack() as stack:
        if way != "compiled":
            stack.enter_context(native.off())
        if way == "cuda":
            stack.enter_context(np.errstate(all="ignore"))  # the stand-in computes with NumPy, which warns
            cupy = stack.enter_context(installed())
            yield lambda a: read_only(cupy.asarray(a)), cupy.asnumpy
        else:
            yield lambda a: a, lambda a: a


def nearest_code(way, z, codebook):
    with going(way) as (there, back):
        return back(operations.nearest_code(there(z), there(codebook)))


def code_sums(way, z, of_rows, count):
    with going(way) as (there, back):
        return tuple(map(back, operations.code_sums(there(z), there(of_rows), count)))


def brute_force(z, codebook):
    """By Python's floats, which are float64, one number after another; the first of the nearest."""
    found = []
    for row in z.tolist():
        distances = []
        for code in codebook.tolist():
            total = 0.0
            for a, b in zip(row, code, strict=True):
                total += (a - b) * (a - b)
            distances.append(total)
        found.append(distances.index(min(distances)))
    return found


def plain(rng, z, e):
    return z, e


def with_ties(rng, z, e):
    return np.round(z), np.round(e)


def with_twins(rng, z, e):
    return z, e[rng.integers(len(e), size=len(e))]


def one_ulp_apart(rng, z, e):
    e = np.nextafter(e[:1], e, dtype=z.dtype)
    return e[rng.integers(len(e), size=len(z))], e


def far_from_zero(rng, z, e):
    return 1000 + z / 1000, 1000 + e / 1000


def far_from_the_codes(rng, z, e):
    """Differences are z, so distances are the same."""
    return z * 1e17, e


def permuted(rng, z, e):
    """Every distance is a sum of the same numbers: its last bits are the order's."""
    return np.repeat(z[:, :1], z.shape[1], axis=1), rng.permuted(np.repeat(e[:1], len(e), axis=0), axis=1)


def overflowing(rng, z, e):
    return z * 1e20, e * 1e18


def one_overflows(rng, z, e):
    e[rng.integers(len(e))] *= 1e30
    return z, e


def underflowing(rng, z, e):
    return z * 2e-22, e * 2e-22


CASES = (
    plain, with_ties, with_twins, one_ulp_apart, far_from_zero, far_from_the_codes, permuted, overflowing,
    one_overflows, underflowing,
)  # fmt: skip


def drawn(case, m, k, d, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    z, e = rng.standard_normal((m, d)), rng.standard_normal((k, d))
    return [a.astype(dtype) for a in case(rng, z.astype(dtype), e.astype(dtype))]


@way
@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(CASES), m=st.integers(1, 33), k=st.integers(1, 70), d=st.integers(1, 20),
    dtype=st.sampled_from(("float32", "float32", "float64")), seed=st.integers(0, 99),
)  # fmt: skip
def test_nearest_code(way, case, m, k, d, dtype, seed):
    z, codebook = drawn(case, m, k, d, dtype, seed)
    found = nearest_code(way, z, codebook)
    assert found.dtype == np.int64 and found.tolist() == brute_force(z, codebook)


@way
@pytest.mark.parametrize("case", CASES)
def test_nearest_code_of_every_width(way, case):
    """Sizes near the sizes of blocks, tiles and vectors."""
    for m, k, d in ((61, 129, 3), (28, 100, 16), (29, 64, 65), (57, 33, 1), (5, 17, 130), (85, 5, 7), (14, 1, 9)):
        z, codebook = drawn(case, m, k, d)
        assert nearest_code(way, z, codebook).tolist() == brute_force(z, codebook), (m, k, d)


@pytest.mark.parametrize("case", (one_ulp_apart, far_from_zero, permuted, underflowing))
def test_these_cases_are_hard(case, monkeypatch):
    """Scores alone do not find the nearest codes: what compares them again is needed, and tested."""
    monkeypatch.setattr(numpy_operations, "slack", lambda squares, half, size: 0 * squares)
    z, codebook = drawn(case, 61, 129, 20)
    assert nearest_code("numpy", z, codebook).tolist() != brute_force(z, codebook)


@double
def test_a_score_is_never_off_by_more_than_the_slack(dtype):
    """Half of it each: two scores are compared. Sums in order, the worst for rounding."""
    for seed, d in enumerate((1, 2, 17, 300)):
        z, e = drawn(plain, 1, 200, d, dtype, seed)
        z, e = np.abs(z[0]), np.abs(e)  # roundings of one sign
        exact = (e.astype(np.longdouble) ** 2).sum(axis=1) / 2 - e.astype(np.longdouble) @ z.astype(np.longdouble)
        half = ((e.astype(float) ** 2).sum(axis=1) / 2).astype(dtype)
        scores = half - (e * z).cumsum(axis=1)[:, -1]
        assert scores.dtype == dtype
        off = np.abs(scores - exact).max()
        allowed = numpy_operations.slack((z * z).sum(keepdims=True), half.max(), d)[0] / 2
        assert 0 < off <= allowed


@way
def test_a_row_of_nan_gets_some_code_and_the_others_theirs(way):
    z, codebook = drawn(plain, 40, 20, 6)
    expected = brute_force(z, codebook)
    z[7, 2] = np.nan
    found = nearest_code(way, z, codebook)
    assert 0 <= found[7] < 20 and np.delete(found, 7).tolist() == expected[:7] + expected[8:]


@way
def test_infinity_is_nobodys_neighbour(way):
    z, codebook = drawn(plain, 9, 5, 4)
    codebook[0, 1], codebook[3, 0] = np.inf, -np.inf
    assert nearest_code(way, z, codebook).tolist() == brute_force(z, codebook)


@way
def test_nothing_to_code(way):
    assert nearest_code(way, np.zeros((0, 3), "f4"), np.zeros((4, 3), "f4")).shape == (0,)
    assert nearest_code(way, np.zeros((3, 0), "f4"), np.zeros((4, 0), "f4")).tolist() == [0, 0, 0]
    counts, sums = code_sums(way, np.zeros((0, 3), "f4"), np.zeros(0, np.int64), 2)
    assert counts.tolist() == [0, 0] and sums.tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("way", ("compiled", "numpy"))
@pytest.mark.parametrize("case", (plain, with_ties, far_from_zero))
def test_arrays_of_any_layout_and_kind(way, case):
    z, codebook = drawn(case, 30, 20, 6)
    expected, half = brute_force(z, codebook), (z[:, :4].astype("f2"), codebook[:, :4].astype("f2"))
    for array in (z, codebook):
        array.setflags(write=False)
    odd = np.frombuffer(b"." + z.tobytes(), np.uint8)[1:].view("f4").reshape(z.shape)  # not aligned
    for other in (z, np.asfortranarray(z), np.repeat(z, 2, axis=0)[::2], odd, z.astype("f8"), z.astype(">f4")):
        assert nearest_code(way, other, codebook).tolist() == expected
    assert nearest_code(way, z, codebook.astype("f8")).tolist() == expected
    assert nearest_code(way, z, codebook[:, ::-1].copy()[:, ::-1]).tolist() == expected
    assert nearest_code(way, *half).tolist() == brute_force(*half)
    whole = np.round(z).astype("i4"), np.round(codebook).astype("i4")
    assert nearest_code(way, *whole).tolist() == brute_force(*whole)


def test_blocks_make_no_difference(monkeypatch):
    z, codebook = drawn(with_ties, 70, 20, 3)
    for module, name in ((numpy_operations, "SCORES"), (numpy_operations, "NUMBERS"), (cupy_operations, "SCORES")):
        for size in (1, 64):
            monkeypatch.setattr(module, name, size)
            for way in ("numpy", "cuda"):
                assert nearest_code(way, z, codebook).tolist() == brute_force(z, codebook)


@pytest.mark.parametrize("way", ("compiled", "numpy"))
def test_distances_are_never_there_as_a_whole(way):
    z, codebook = drawn(plain, 20_000, 256, 4)
    nearest_code(way, z, codebook)
    tracemalloc.start()
    try:
        nearest_code(way, z, codebook)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000 * 256 * 4 / 5


def sums_in_order(z, of_rows, count):
    """By Python's floats, rounded to z's dtype once."""
    counts, sums = np.zeros(count), np.zeros((count, z.shape[1]))
    for row, code in zip(z.tolist(), of_rows.tolist(), strict=True):
        counts[code] += 1
        for c, number in enumerate(row):
            sums[code, c] += number
    return counts.astype(z.dtype), sums.astype(z.dtype)


@way
@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(0, 60), k=st.integers(1, 40), d=st.integers(1, 40), used=st.integers(1, 40),
    dtype=st.sampled_from(("float32", "float64")), kind=st.sampled_from(("int64", "int32", "uint8")),
)  # fmt: skip
def test_code_sums(way, m, k, d, used, dtype, kind):
    """To the last bit. Where fewer codes than k are used, some have no row."""
    rng = np.random.default_rng(0)
    z = (rng.standard_normal((m, d)) * 10.0 ** rng.integers(-5, 5, (m, d))).astype(dtype)
    of_rows = rng.integers(min(used, k), size=m).astype(kind)
    for found, expected in zip(code_sums(way, z, of_rows, k), sums_in_order(z, of_rows, k), strict=True):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("way", ("compiled", "numpy"))
def test_code_sums_of_any_layout(way):
    z, _ = drawn(plain, 40, 1, 6)
    of_rows = np.random.default_rng(0).integers(9, size=80)[::2]
    expected = sums_in_order(z, of_rows, 9)
    for other in (np.asfortranarray(z), np.repeat(z, 2, axis=0)[::2], z.astype(">f4")):
        for found, exact in zip(code_sums(way, other, of_rows, 9), expected, strict=True):
            np.testing.assert_array_equal(found, exact)


def test_the_bits_are_the_same_for_any_number_of_threads(library):
    z, codebook = drawn(far_from_zero, 3001, 70, 90)
    z[:2000] -= 1000  # easy ones
    found = []
    for count in (1, 2, 3, 8, 300):
        with threads.using(count):
            of_rows = operations.nearest_code(z, codebook)
            found.append((of_rows, *operations.code_sums(z, of_rows, 70)))
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(found[0][0], nearest_code("numpy", z, codebook))


@pytest.mark.parametrize("way", WAYS)
def test_shapes_that_do_not_fit(way):
    z, codebook, of_rows = np.zeros((6, 3), "f4"), np.zeros((4, 3), "f4"), np.zeros(6, np.int64)
    for wrong in ((z, codebook[:, :2]), (z[0], codebook), (z, codebook[0]), (z[None], codebook), (z, codebook[:0])):
        with pytest.raises(ShapeError, match=r"^nearest_code: expected z \(M, D\) and a codebook \(K, D\)"):
            nearest_code(way, *wrong)
    for wrong in ((z, of_rows[:5], 4), (z[0], of_rows, 4), (z, of_rows[:, None], 4)):
        with pytest.raises(ShapeError, match=r"^code_sums: expected z \(M, D\) and codes \(M,\)"):
            code_sums(way, *wrong)


@pytest.mark.parametrize("way", ("compiled", "numpy"))
@pytest.mark.parametrize("wrong", (-1, 4))
def test_codes_that_there_are_not(way, wrong):
    of_rows = np.array([0, 3, wrong])
    with pytest.raises(ShapeError, match=r"^code_sums: expected codes in \[0, 4\), got "):
        code_sums(way, np.ones((3, 2), "f4"), of_rows, 4)


def test_codes_that_there_are_not_are_left_out_on_a_device():
    counts, sums = code_sums("cuda", np.ones((4, 2), "f4"), np.array([0, -1, 3, 4]), 4)
    assert counts.tolist() == [1, 0, 0, 1] and sums.tolist() == [[1, 1], [0, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize("most_blocks", (1, 3))
def test_any_launch_gives_the_same(monkeypatch, most_blocks):
    """With fewer threads than rows and sums the loops stride."""
    monkeypatch.setattr(cuda, "MOST_BLOCKS", most_blocks)
    monkeypatch.setattr(cuda, "THREADS", 32)
    z, codebook = drawn(with_ties, 300, 20, 5)
    of_rows = nearest_code("cuda", z, codebook)
    assert of_rows.tolist() == brute_force(z, codebook)
    for found, expected in zip(code_sums("cuda", z, of_rows, 20), sums_in_order(z, of_rows, 20), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.gpu
@double
@pytest.mark.parametrize("case", [case for case in CASES if case is not underflowing])
def test_on_a_device(cupy_device, dtype, case):
    """Denormals are flushed there: `underflowing` would differ."""
    cupy = cupy_device.xp
    z, codebook = drawn(case, 20_001, 130, 33, dtype)
    of_rows = operations.nearest_code(z, codebook)
    on_device = operations.nearest_code(cupy.asarray(z), cupy.asarray(codebook))
    np.testing.assert_array_equal(cupy.asnumpy(on_device), of_rows)
    for _ in range(3):
        sums = operations.code_sums(cupy.asarray(z), on_device, 130)
        for found, expected in zip(sums, operations.code_sums(z, of_rows, 130), strict=True):
            np.testing.assert_array_equal(cupy.asnumpy(found), expected)
