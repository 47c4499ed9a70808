"""The compiled library's threads: the same bits for any number of them, several callers, a thread that is kept from its
work, forks, Ctrl-C, the end of the process, and none to be had."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from tinyae.backend import operations, threads
from tinyae.backend.convolution import Geometry
from tinyae.backend.operations import convolution, convolution_input_gradient, convolution_weight_gradient


def test_shared_among_threads_the_bits_are_the_same(library):
    """Sizes that are worth several threads."""
    rng, geometry = np.random.default_rng(0), Geometry(padding=((1, 1), (1, 1)))
    x, dy, weight = (rng.standard_normal(shape).astype("f4") for shape in ((9, 28, 28, 32),) * 2 + ((3, 3, 32, 32),))
    wide, wide_weight = (rng.standard_normal(shape).astype("f4") for shape in ((5, 9, 9, 64), (3, 3, 64, 64)))
    a, b = rng.standard_normal((300, 784)).astype("f4"), rng.standard_normal((784, 400)).astype("f4")
    one, five = rng.standard_normal((9, 28, 28, 1)).astype("f4"), Geometry(padding=((2, 2), (2, 2)))
    long, rows = rng.standard_normal((1, 70001)).astype("f4"), rng.standard_normal((8, 70001)).astype("f4")

    def results():
        return (
            convolution(x, weight, geometry), convolution_input_gradient(dy, weight, geometry, (28, 28)),
            convolution_weight_gradient(x, dy, geometry, (3, 3)), operations.affine(a, b),
            convolution(wide, wide_weight, geometry), convolution_weight_gradient(wide, wide, geometry, (3, 3)),
            convolution_weight_gradient(x, one, five, (5, 5)), operations.product_transposed(long, rows),
            operations.product_transposed(a, b.T.copy()), operations.max_pool(x, (2, 2), Geometry((2, 2)), (14, 14)),
        )  # fmt: skip

    found = []
    for count in (1, 2, 3, 4, 8):
        with threads.using(count):
            found.append(results())
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_operations_inside_a_part_stay_on_its_thread():
    team = threads.Workers(2)
    with threads.using(5):
        assert threads.available() == 5
        assert team.map(lambda i: threads.available(), range(3)) == [1, 1, 1]
        assert team.map(lambda i: threads.available(), range(1)) == [5]
    team.close()


def test_operations_of_several_threads_at_once(library):
    """All ask for the library's threads; one gets them."""
    a, b = (np.random.default_rng(0).standard_normal((400, 400)).astype("f4") for _ in range(2))
    exact, wrong = operations.affine(a, b), []

    def work():
        for _ in range(20):
            if not np.array_equal(operations.affine(a, b), exact):
                wrong.append(1)

    with threads.using(3):
        each = [threading.Thread(target=work) for _ in range(4)]
        for thread in each:
            thread.start()
        for thread in each:
            thread.join()
    assert not wrong


def run(script):
    """Run a script in a process of its own."""
    head = "import os, numpy as np\nfrom tinyae.backend import native, operations, threads\n"
    done = subprocess.run([sys.executable, "-c", head + script], timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts and limits as Linux has them")
def test_where_no_thread_can_be_started_the_caller_does_the_work(library):
    run("""
import resource
a = np.random.default_rng(0).standard_normal((400, 400)).astype("f4")
with threads.using(1):
    exact = operations.affine(a, a)
used, tasks = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize(), os.listdir("/proc/self/task")
resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20),) * 2)  # less than a thread's stack
with threads.using(4):
    assert np.array_equal(operations.affine(a, a), exact)
assert os.listdir("/proc/self/task") == tasks  # BLAS may have threads of its own
""")


@pytest.mark.skipif(sys.platform != "linux", reason="counts and limits as Linux has them")
def test_more_processors_than_the_library_has_threads(library):
    run("""
a = np.random.default_rng(0).standard_normal((600, 512)).astype("f4")
w = a[:512].copy()
with threads.using(1):
    exact = operations.affine(a, w)
before = len(os.listdir("/proc/self/task"))  # BLAS may have threads of its own
with threads.using(300):
    assert np.array_equal(operations.affine(a, w), exact)
assert len(os.listdir("/proc/self/task")) == before + 255
""")


@pytest.mark.skipif(sys.platform != "linux", reason="threads and their signals as Linux has them")
def test_a_thread_that_is_kept_from_its_work_holds_nothing_up(library):
    """Signalled, a thread pauses for good, as if other processes had its core: the others do its pieces."""
    run("""
import ctypes, signal, time
a = np.random.default_rng(0).standard_normal((400, 400)).astype("f4")
with threads.using(1):
    exact = operations.affine(a, a)
before = set(os.listdir("/proc/self/task"))
with threads.using(3):
    operations.affine(a, a)
    held, _ = sorted(set(os.listdir("/proc/self/task")) - before)
    libc = ctypes.CDLL(None)
    libc.signal(signal.SIGUSR1, libc.pause)
    libc.tgkill(os.getpid(), int(held), signal.SIGUSR1)
    mask = 1 << signal.SIGUSR1 - 1
    while not int(open(f"/proc/self/task/{held}/status").read().split("SigBlk:")[1].split()[0], 16) & mask:
        time.sleep(0.001)
    for _ in range(100):
        assert np.array_equal(operations.affine(a, a), exact)
""")


def test_an_interrupted_operation_ends_and_others_go_on(library):
    run("""
import signal, threading
a = np.random.default_rng(0).standard_normal((400, 400)).astype("f4")
with threads.using(2):
    exact = operations.affine(a, a)
    try:
        threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
        while True:
            operations.affine(a, a)
    except KeyboardInterrupt:
        assert np.array_equal(operations.affine(a, a), exact)
""")


def test_a_process_ends_in_the_middle_of_an_operation(library):
    run("""
import threading, time
def work():
    while True:
        operations.affine(a, a)
a = np.random.default_rng(0).standard_normal((400, 400)).astype("f4")
with threads.using(2):
    operations.affine(a, a)
    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.05)
    raise SystemExit(0)
""")


@pytest.mark.skipif(sys.platform != "linux", reason="counts as Linux has them")
def test_a_child_forked_in_the_middle_of_an_operation_works(library):
    run("""
import threading
def work():
    while not enough:
        operations.affine(a, a)
a, enough = np.random.default_rng(0).standard_normal((400, 400)).astype("f4"), []
with threads.using(2):
    before = operations.affine(a, a)
    other = threading.Thread(target=work, daemon=True)
    other.start()
    for _ in range(10):
        child = os.fork()
        if child == 0:
            right = np.array_equal(operations.affine(a, a), before)
            os._exit(0 if right and len(os.listdir("/proc/self/task")) == 2 else 1)
        assert os.waitpid(child, 0)[1] == 0
    enough.append(1)
    other.join()
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_threads_of_its_own(library):
    run("""
a = np.random.default_rng(0).standard_normal((400, 400)).astype("f4")
with threads.using(2):
    before = operations.affine(a, a)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(operations.affine(a, a), before) else 1)
    _, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_while_another_thread_looks_for_the_library_works(library):
    """The lock is held for as long as it takes to compile, and that thread is not in the child."""
    run("""
import signal
native.forget()
with native._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if native.present() is not None else 1)
    _, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
""")
