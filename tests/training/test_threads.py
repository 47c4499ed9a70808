"""Worker threads: parts of a batch sum to the whole, and the number of threads changes no bit."""

import sys
import threading

import numpy as np
import pytest

import tinyae
from tinyae.backend import Noise, native
from tinyae.backend import threads as backend_threads
from tinyae.errors import MissingExtraError
from tinyae.layers import BatchNorm, Dense, Flatten, Reshape, Sequential
from tinyae.training import workers
from tinyae.training.workers import Workers, cut
from tinyae.traits import Parts


@pytest.mark.parametrize("least", [16, 64])
@pytest.mark.parametrize("count", [1, 2, 63, 64, 127, 128, 129, 200, 511, 512, 1000, 5000])
def test_parts_cover_the_batch_in_near_equal_runs(count, least):
    parts = cut(count, least)
    assert parts[0][0] == 0 and parts[-1][1] == count
    assert all(a[1] == b[0] for a, b in zip(parts[:-1], parts[1:], strict=True))
    sizes = [stop - start for start, stop in parts]
    assert max(sizes) - min(sizes) <= 1 and len(parts) <= workers.PARTS
    assert len(parts) == 1 or (min(sizes) >= least and len(parts) % 2 == 0)
    assert (len(parts) == 1) == (count < 2 * least)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_map_keeps_the_order_and_uses_every_thread(count):
    meeting = threading.Barrier(count, timeout=10)
    workers, seen = Workers(count), set()

    def work(i):
        if i < count:
            meeting.wait()  # passes only if `count` threads are here at once
        seen.add(threading.get_ident())
        return i * i

    assert workers.map(work, range(20)) == [i * i for i in range(20)]
    assert len(seen) == count
    assert workers.map(work, []) == []
    workers.close()


@pytest.mark.parametrize("bad", [0, 3])
def test_an_error_in_any_thread_is_raised(bad):
    def work(i):
        if i == bad:
            raise ValueError("planted")

    workers = Workers(3)
    with pytest.raises(ValueError, match="planted"):
        workers.map(work, range(8))
    workers.close()


def test_rows_of_noise_are_rows_of_the_whole_draw():
    noise = Noise(3, 7).child("encoder")
    whole = {
        "uniform": noise.uniform("a", (10, 3, 5)),
        "normal": noise.normal("b", (10, 7), "float64"),
        "bernoulli": noise.bernoulli("c", (10,), 0.3),
    }
    for start, stop in ((0, 10), (0, 3), (3, 4), (7, 10)):
        rows = Noise(3, 7).rows(start, stop, 10).child("encoder")
        np.testing.assert_array_equal(rows.uniform("a", (stop - start, 3, 5)), whole["uniform"][start:stop])
        np.testing.assert_array_equal(rows.normal("b", (stop - start, 7), "float64"), whole["normal"][start:stop])
        np.testing.assert_array_equal(rows.bernoulli("c", (stop - start,), 0.3), whole["bernoulli"][start:stop])
    with pytest.raises(ValueError, match="'encoder.a': a part of 3 examples cannot draw"):
        Noise(3).rows(0, 3, 10).child("encoder").uniform("a", (10, 2))


def test_rows_of_given_noise():
    given = np.arange(20.0).reshape(10, 2)
    rows = Noise(0, given={"z": given}).rows(4, 6, 10)
    np.testing.assert_array_equal(rows.normal("z", (2, 2), "float64"), given[4:6])
    with pytest.raises(ValueError, match="'z'"):
        Noise(0, given={"z": given}).rows(0, 3, 11).normal("z", (3, 2))


def data():
    return np.random.default_rng(0).random((300, 4, 4, 1), dtype="float32")


def trained(count, part=32, **options):
    """A part of fewer than 64 examples is cut even with the compiled library."""
    model = tinyae.models.VAE(input_shape=(4, 4, 1), hidden=(20,), latent_dim=3)
    model.cut = Parts(part)
    history = tinyae.fit(model, data(), epochs=3, batch_size=200, progress=False, threads=count, **options)
    return model.store.flat, history.records


@pytest.mark.parametrize("options", [{}, {"part": 64}, {"clip_norm": 5.0}, {"optimizer": "sgd", "lr": 1e-3}])
def test_any_number_of_threads_gives_the_same_bits(options, monkeypatch):
    pytest.importorskip("threadpoolctl")
    monkeypatch.setattr(tinyae.optim.optimizers, "SLICE", 100)
    one, records = trained(1, **options)
    for count in (2, 3, 7):
        other, other_records = trained(count, **options)
        np.testing.assert_array_equal(other, one)
        assert other_records == records


def test_parts_sum_to_the_whole_batch(monkeypatch):
    """The same training without parts: equal but for rounding."""
    pytest.importorskip("threadpoolctl")
    parts, records = trained(2)
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    whole, whole_records = trained(None)
    np.testing.assert_allclose(parts, whole, atol=2e-5)
    assert records[-1]["train"]["loss"] == pytest.approx(whole_records[-1]["train"]["loss"], rel=1e-5)


def test_a_number_of_threads_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with pytest.raises(MissingExtraError, match=r"a number of threads needs the extra 'threads'"):
        trained(2)


def test_blas_is_released_afterwards():
    control = pytest.importorskip("threadpoolctl")
    before = control.threadpool_info()
    trained(2)
    assert control.threadpool_info() == before


def in_threads(*works):
    """Run functions side by side, each in a thread of its own."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("first_to_leave", [0, 1])
def test_overlapping_trainings_hold_blas_until_the_last_one_ends(first_to_leave):
    control = pytest.importorskip("threadpoolctl")

    def counts():
        return [library["num_threads"] for library in control.threadpool_info() if library["user_api"] == "blas"]

    before, here = counts(), backend_threads.available()
    inside, left, seen = threading.Barrier(2, timeout=60), threading.Event(), {}

    def work(i):
        with workers.workers(3 + i):
            inside.wait()
            seen[f"available {i}"] = backend_threads.available()
            if i != first_to_leave:
                assert left.wait(60)
                seen["BLAS"] = counts()
        if i == first_to_leave:
            left.set()

    in_threads(lambda: work(0), lambda: work(1))
    assert seen == {"available 0": 3, "available 1": 4, "BLAS": [1] * len(before)}
    assert counts() == before and backend_threads.available() == here


def test_overlapping_trainings_give_the_bits_of_one_alone(monkeypatch):
    monkeypatch.setenv("TINYAE_NATIVE", "0")
    native.forget()
    try:
        alone, found = trained(None)[0], []
        in_threads(*[lambda: found.append(trained(None)[0])] * 3)
        assert len(found) == 3
        for other in found:
            np.testing.assert_array_equal(other, alone)
    finally:
        monkeypatch.undo()
        native.forget()


def test_blas_is_held_within_limits_of_the_host_program():
    control = pytest.importorskip("threadpoolctl")
    with control.threadpool_limits(2, user_api="blas"):
        before = control.threadpool_info()
        with workers.workers(2):
            held = [library["num_threads"] for library in control.threadpool_info() if library["user_api"] == "blas"]
        assert set(held) == {1} and control.threadpool_info() == before


def test_where_the_system_grants_no_more_threads_there_are_fewer(monkeypatch):
    """As under a limit of memory: at most 20 threads can be started."""
    pytest.importorskip("threadpoolctl")
    start, running = threading.Thread.start, threading.active_count()

    def limited(thread):
        if threading.active_count() - running >= 20:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with workers.workers(20_000) as team:
        assert len(team.threads) == 15  # 256 are too many, and so are 128, 64 and 32
        assert team.map(lambda i: i * i, range(40)) == [i * i for i in range(40)]
    assert threading.active_count() == running


class Coupled(tinyae.models.AE):
    """An autoencoder whose BatchNorm couples the examples of a batch."""

    def build(self, networks, *rest):
        networks["encoder"] = Sequential(Flatten(), Dense(6), BatchNorm(), Dense(self.latent_dim)), self.input_shape
        networks["decoder"] = Sequential(Dense(16), Reshape((4, 4, 1))), (self.latent_dim,)
        super().build(networks, *rest)


def test_a_model_that_couples_the_batch_is_not_cut(monkeypatch):
    model = Coupled(input_shape=(4, 4, 1), latent_dim=2)
    sizes = []
    step = model.step
    monkeypatch.setattr(model, "step", lambda net, x: sizes.append(len(x)) or step(net, x))
    tinyae.fit(model, data(), epochs=1, batch_size=200, progress=False, threads=2)
    assert not model.separable and sizes == [200, 100]
    assert np.abs(model.state.named["encoder.2.mean"]).max() > 0, "the running statistics did not move"
