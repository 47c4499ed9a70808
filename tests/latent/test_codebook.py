"""The codebook of a VQ-VAE, in all its forms: against loops, its state, its restarts and its start."""

import math

import numpy as np
import pytest
from devices import Device, assert_same
from hypothesis import given
from hypothesis import strategies as st

from tinyae.backend import Noise
from tinyae.errors import ConfigError, ShapeError
from tinyae.latent.codebook import Codebook
from tinyae.latent.kmeans import kmeans

DTYPES = ("float32", "float64")
KINDS = {
    "one": dict(codes=5, units=4),
    "grouped": dict(codes=3, units=4, books=2),
    "residual": dict(codes=3, units=4, books=3, residual=True),
    "cosine": dict(codes=5, units=4, cosine=True),
    "cosine-grouped": dict(codes=3, units=4, books=2, cosine=True),
}
each_kind = pytest.mark.parametrize("kind", KINDS)
each_learning = pytest.mark.parametrize("ema", (False, True), ids=("loss", "ema"))
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def draw(seed, *shape, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


class Case:
    """A codebook with a drawn weight, on a device; `params` and `state` may be written to."""

    def __init__(self, device, kind, ema=False, dtype="float64", seed=0, **options):
        self.device, self.dtype = device, dtype
        self.codebook = Codebook(**KINDS[kind] | options, ema=ema)
        shape = (2, 3, self.codebook.units)
        weight = device.array(draw(seed, *self.codebook.weight_shape, dtype=dtype), writeable=True)
        self.params = {} if ema else {"weight": weight}
        self.state = self.codebook.init_state(shape, device.xp, dtype)
        self.codebook.set_weight(self.params, self.state, weight)

    @property
    def weight(self):
        """(books, K, D / groups) on the host."""
        return np.stack(self.device.host(self.codebook.weight(self.params, self.state)))

    def forward(self, z, train=True, step=0, given=None):
        noise = Noise(3, step, xp=self.device.xp, given=given)
        frozen = self.device.read_only(self.params), self.device.read_only(self.state)
        return self.codebook.forward(frozen[0], z, train, noise, frozen[1])

    def losses(self, cache, batch_size=None):
        """(codebook loss, commitment loss, dz, gradients), the gradients added to ones."""
        grads = {name: self.device.xp.ones_like(w) for name, w in self.params.items()}
        self.codebook.losses_backward(self.params, cache, grads, batch_size)
        return *self.codebook.losses(self.params, cache, batch_size), grads

    def update(self, cache):
        self.codebook.update_state(self.state, cache, self.params)


def turned(v):
    """v / |v|, and the product of a vector with its derivative."""
    length = math.sqrt(sum(x * x for x in v) + 1e-6)
    y = np.array([x / length for x in v])
    return y, lambda d: np.array([(d[i] - y[i] * sum(y * d)) / length for i in range(len(v))])


def by_loops(codebook, weight, z, dy):
    """Vector by vector: codes, q, the sum of squares, its gradients by z and weight, dy through to z, what was seen."""
    rows = z.reshape(-1, codebook.units)
    codes, q = np.zeros((len(rows), codebook.books), np.int64), np.zeros(rows.shape)
    loss, dz, dweight, through = 0.0, np.zeros(rows.shape), np.zeros(weight.shape), np.zeros(rows.shape)
    seen = np.zeros((codebook.books, len(rows), codebook.width))
    for m, row in enumerate(rows):
        rest = row
        for b in range(codebook.books):
            own = slice(None) if codebook.residual else slice(b * codebook.width, (b + 1) * codebook.width)
            u, book, back, turns = rest[own], list(weight[b]), lambda d: d, [lambda d: d] * codebook.codes
            if codebook.cosine:
                u, back = turned(u)
                book, turns = zip(*map(turned, book), strict=True)
            distances = [sum((u - e) ** 2) for e in book]
            k = distances.index(min(distances))
            codes[m, b], seen[b, m] = k, u
            q[m, own] += book[k]
            loss += distances[k]
            dz[m, own] += back(2 * (u - book[k]))
            dweight[b, k] -= turns[k](2 * (u - book[k]))
            if not codebook.residual:
                through[m, own] = back(dy.reshape(rows.shape)[m, own])
            rest = u - book[k] if codebook.residual else rest
    through = dy.reshape(rows.shape) if codebook.residual else through
    back_to_maps = (a.reshape(z.shape) for a in (q, dz, through))
    return codes.reshape(*z.shape[:-1], -1), loss, dweight, seen, *back_to_maps


# forward, backward and losses


@each_kind
@each_learning
@given(seed=st.integers(0, 2**32), n=st.integers(1, 3), places=st.lists(st.integers(1, 3), max_size=2))
def test_everything_is_the_loops(kind, ema, seed, n, places):
    case = Case(Device("numpy", np), kind, ema, seed=seed)
    z, dy = draw(seed + 1, n, *places, 4), draw(seed + 2, n, *places, 4)
    codes, loss, dweight, _, q, dz, through = by_loops(case.codebook, case.weight, z, dy)
    y, cache = case.forward(z)
    np.testing.assert_allclose(y, q, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(np.stack(cache.codes, axis=1).reshape(codes.shape), codes)
    np.testing.assert_allclose(case.codebook.backward(case.params, cache, dy), through, rtol=1e-12, atol=1e-14)
    for batch_size, count in ((None, n), (n + 2, n + 2)):
        codebook, commitment, got, grads = case.losses(cache, batch_size)
        assert commitment == pytest.approx(loss / count, rel=1e-12)
        np.testing.assert_allclose(got, dz / count, rtol=1e-12, atol=1e-13)
        if ema:
            assert (codebook, grads) == (0.0, {})
        else:
            assert codebook == pytest.approx(loss / count, rel=1e-12)
            expected = 1 + dweight.reshape(grads["weight"].shape) / count
            np.testing.assert_allclose(grads["weight"], expected, rtol=1e-11, atol=1e-12)


def test_one_codebook_passes_the_very_gradient(numpy_device):
    case, dy = Case(numpy_device, "one"), draw(1, 2, 3, 4)
    assert case.codebook.backward(case.params, case.forward(dy)[1], dy) is dy


@each_kind
@each_learning
@each_dtype
def test_two_forwards_then_both_backwards_in_either_order(kind, ema, dtype, numpy_device):
    """From read-only inputs, parameters and states; caches survive; the dtype is kept."""
    case = Case(numpy_device, kind, ema, dtype)
    inputs = [numpy_device.array(draw(seed, 2, 3, 4, dtype=dtype)) for seed in (5, 6)]
    alone = []
    for z in inputs:
        _, cache = case.forward(z)
        alone.append([*case.losses(cache), case.codebook.backward(case.params, cache, z)])
    caches = [case.forward(z)[1] for z in inputs]
    for i in (1, 0, 1):
        again = [*case.losses(caches[i]), case.codebook.backward(case.params, caches[i], inputs[i])]
        assert_same(again[1:], alone[i][1:])
        assert {a.dtype for a in (again[1], again[2], again[4], *again[3].values())} == {np.dtype(dtype)}
    assert case.forward(inputs[0])[0].dtype == dtype


@each_kind
def test_codes_and_back(kind, numpy_device):
    case, z = Case(numpy_device, kind), draw(1, 2, 3, 2, 4)
    codes = case.codebook.encode(case.params, z, case.state)
    books = () if case.codebook.books == 1 else (case.codebook.books,)
    assert codes.shape == (2, 3, 2, *books) and codes.dtype == np.int64
    decoded = case.codebook.decode(case.params, codes, case.state)
    np.testing.assert_array_equal(decoded, case.forward(z, train=False)[0])


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(books=3), ConfigError, "codebooks=3: vectors of 4 numbers do not divide into 3 groups"),
        (dict(residual=True, cosine=True), ConfigError, "cosine codes have no length"),
        (dict(decay=1.0), ConfigError, "decay must be a number above 0 and below 1, got 1.0"),
        (dict(decay=math.nan), ConfigError, "decay must be a number above 0 and below 1, got nan"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        Codebook(**KINDS["one"] | options)


def test_vectors_of_another_length_are_refused(numpy_device):
    case = Case(numpy_device, "one")
    with pytest.raises(ShapeError, match=r"Codebook\(codes=5, units=4.*expected vectors of 4 numbers, got \(3, 5\)"):
        case.forward(np.zeros((2, 3, 5)))


# the state


def state_by_loops(case, seen, codes, counts, sums, drawn):
    """One update of counts, sums and weight (changed in place) by the formulas, restart included; which died."""
    c, weight, died = case.codebook, case.weight.astype("float64"), []
    for b in range(c.books):
        for k in range(c.codes):
            mine = seen[b][codes[..., b].reshape(-1) == k]
            counts[b, k] = c.decay * counts[b, k] + (1 - c.decay) * len(mine)
            sums[b, k] = c.decay * sums[b, k] + (1 - c.decay) * mine.sum(axis=0)
        total = counts[b].sum()
        for k in range(c.codes):
            if c.ema:
                weight[b, k] = sums[b, k] / ((counts[b, k] + 1e-5) * total / (total + c.codes * 1e-5))
        fair = counts[b].mean()
        for k in range(c.codes):
            if c.restart and counts[b, k] < 0.01 * fair:
                weight[b, k] = seen[b][int(drawn[b, k] * len(seen[b]))]
                counts[b, k], sums[b, k] = fair, fair * weight[b, k]
                died.append((b, k))
    return weight, died


@each_kind
@each_learning
@pytest.mark.parametrize("restart", (True, False))
def test_updates_of_the_state_are_the_loops(kind, ema, restart, numpy_device):
    """Through forty batches, in which codes die, with given candidates for the restart."""
    case = Case(numpy_device, kind, ema, decay=0.7, restart=restart)
    c, rng = case.codebook, np.random.default_rng(8)
    counts, sums, used, deaths = np.ones((c.books, c.codes)), case.weight.copy(), np.zeros((c.books, c.codes)), 0
    for step in range(40):
        z = 2 + 0.5 * rng.normal(size=(3, 2, 4))
        drawn = rng.random((c.books, c.codes))
        codes, _, _, seen, *_ = by_loops(c, case.weight, z, z)
        used += np.stack([np.bincount(column, minlength=c.codes) for column in codes.reshape(-1, c.books).T])
        expected, died = state_by_loops(case, seen, codes, counts, sums, drawn)
        case.update(case.forward(z, step=step, given={f"restart.{b}": u for b, u in enumerate(drawn)})[1])
        np.testing.assert_allclose(case.weight, expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(case.state["counts"], counts, rtol=1e-12)
        deaths += len(died)
    np.testing.assert_array_equal(case.state["usage"], used)
    assert (deaths > 0) == restart


@each_kind
@each_learning
def test_evaluation_leaves_no_trace(kind, ema, numpy_device):
    case = Case(numpy_device, kind, ema)
    case.state["counts"][...] = 0.0
    case.state["counts"][:, 0] = 9.0  # by these, all the others are dead
    before = numpy_device.host([case.params, case.state])
    y, cache = case.codebook.forward(case.params, draw(1, 2, 3, 4), False, None, case.state)
    case.update(cache)
    assert_same(numpy_device.host([case.params, case.state]), before)


@each_kind
def test_evaluation_counts_codes_for_a_gradient_alone(kind, numpy_device, monkeypatch):
    case, z = Case(numpy_device, kind), draw(1, 2, 3, 4)
    *_, expected = case.losses(case.forward(z)[1])
    *_, got = case.losses(case.forward(z, train=False)[1])
    np.testing.assert_array_equal(got["weight"], expected["weight"])
    monkeypatch.setattr("tinyae.latent.codebook.code_sums", lambda *_: pytest.fail("nobody asked for sums"))
    case.codebook.losses(case.params, case.forward(z, train=False)[1])


@each_learning
@each_dtype
def test_a_far_code_is_restarted_at_a_vector_of_the_batch(ema, dtype, numpy_device):
    """The others go on as they would without; each candidate is drawn by the step."""
    cases = [Case(numpy_device, "one", ema, dtype, decay=0.8, restart=restart) for restart in (True, False)]
    z = draw(1, 20, 4, dtype=dtype)
    for case in cases:
        start = z[:5].copy()
        start[3] = 100
        case.codebook.set_weight(case.params, case.state, start)
    for step in range(200):
        for case in cases:
            case.update(case.forward(z, step=step)[1])
        if cases[0].weight[0, 3, 0] < 50:
            break
    with_restart, without = (case.weight[0] for case in cases)
    row = int(Noise(3, step).uniform("restart.0", (5,), "float64")[3] * 20)
    np.testing.assert_array_equal(with_restart[3], z[row])
    live = [0, 1, 2, 4]
    np.testing.assert_array_equal(with_restart[live], without[live])
    assert without[3, 0] > 50 and 0.8**step < 1 / 20 and step < 30
    counts = cases[0].state["counts"][0]
    assert counts[3] == pytest.approx(20 / 5, rel=0.05), "a fair share, so that it lives on for a while"
    if ema:
        np.testing.assert_allclose(cases[0].state["sums"][3] / counts[3], z[row], rtol=1e-6)


# the start


def blobs(n=60, dtype="float64"):
    """Vectors around three centres, in turns; the centres."""
    centres = np.array([[5, 0, 0, 0], [0, -5, 0, 5], [0, 0, 9, 0]], dtype)
    return centres[np.arange(n) % 3] + 0.1 * draw(0, n, 4, dtype=dtype), centres


@each_dtype
def test_kmeans_finds_clusters(dtype):
    """Each centre is the mean of the vectors nearest to it; from one vector of each cluster, those are the clusters."""
    x, centres = blobs(dtype=dtype)
    means, found_all = np.stack([x[i::3].mean(axis=0) for i in range(3)]), 0
    for seed in range(30):
        start, found = kmeans(x, 3, Noise(seed), rounds=0), kmeans(x, 3, Noise(seed))
        assert found.dtype == dtype
        nearest = nearest_to(x, found)
        np.testing.assert_allclose(found, [x[nearest == k].mean(axis=0) for k in range(3)], rtol=1e-5, atol=1e-6)
        if set(blob := nearest_to(start, centres)) == {0, 1, 2}:
            np.testing.assert_allclose(found, means[blob], rtol=1e-5, atol=1e-6)
            found_all += 1
    assert found_all


def nearest_to(x, centres):
    return ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)


@pytest.mark.parametrize("count", (4, 5, 7, 9, 11))
def test_kmeans_of_fewer_vectors_than_centres_uses_all_of_them(count):
    x = draw(1, 4, 3)
    for rounds in (0, 10):
        found = kmeans(x, count, Noise(2), rounds)
        assert found.shape == (count, 3)
        assert {tuple(v) for v in found} == {tuple(v) for v in x}


def test_kmeans_never_does_worse_with_more_rounds():
    x, errors = draw(1, 200, 3), []
    for rounds in (0, 1, 3, 10):
        centres = kmeans(x, 8, Noise(0), rounds)
        errors.append(((x - centres[nearest_to(x, centres)]) ** 2).sum())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.8 * errors[0]


@each_learning
def test_the_start_is_kmeans(ema, numpy_device):
    case, (x, _) = Case(numpy_device, "one", ema), blobs()
    case.state["counts"][...] = 7
    case.codebook.start(case.params, case.state, numpy_device.array(x.reshape(4, 15, 4)), Noise(1))
    np.testing.assert_array_equal(case.weight[0], kmeans(x, 5, Noise(1).child("0")))
    assert (case.state["counts"] == 1).all()
    if ema:
        np.testing.assert_array_equal(case.state["sums"], case.state["weight"])


def test_grouped_books_start_with_their_own_numbers(numpy_device):
    case, (x, _) = Case(numpy_device, "grouped"), blobs()
    case.codebook.start(case.params, case.state, x, Noise(1))
    for b in range(2):
        np.testing.assert_array_equal(case.weight[b], kmeans(x[:, 2 * b : 2 * b + 2], 3, Noise(1).child(str(b))))


def test_residual_books_start_with_what_is_left(numpy_device):
    case, (x, _) = Case(numpy_device, "residual"), blobs()
    case.codebook.start(case.params, case.state, x, Noise(1))
    left = x
    for b in range(3):
        np.testing.assert_array_equal(case.weight[b], kmeans(left, 3, Noise(1).child(str(b))))
        left = left - case.weight[b][nearest_to(left, case.weight[b])]


def test_cosine_codes_start_with_directions(numpy_device):
    case, (x, centres) = Case(numpy_device, "cosine", codes=3), blobs()
    case.codebook.start(case.params, case.state, x * draw(3, 60, 1) ** 2, Noise(1))
    found = case.weight[0] / np.linalg.norm(case.weight[0], axis=1, keepdims=True)
    cosines = found @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T
    np.testing.assert_allclose(cosines.max(axis=0), 1, atol=1e-3)


# devices


@each_kind
@each_learning
@each_dtype
def test_the_whole_round_on_a_device(kind, ema, dtype, gpu, numpy_device):
    """Start, forward, losses, backward and updates through restarts: no value comes to the host on the way."""
    results = []
    for device in (numpy_device, gpu):
        case = Case(device, kind, ema, dtype, decay=0.5)
        case.codebook.start(
            case.params, case.state, device.array(draw(1, 9, 3, 4, dtype=dtype)), Noise(4, xp=device.xp)
        )
        for step in range(12):
            z = device.array(draw(step, 3, 2, 4, dtype=dtype) + 2)
            y, cache = case.forward(z, step=step)
            terms = [*case.losses(cache), case.codebook.backward(case.params, cache, z)]
            case.update(cache)
        codes = case.codebook.encode(case.params, z, case.state)
        decoded = case.codebook.decode(case.params, codes, case.state)
        results.append(device.host([y, codes, decoded, case.params, case.state, terms]))
    assert_same(results[1], results[0], 1e-5 if dtype == "float32" else 1e-13)
