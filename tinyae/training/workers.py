"""Worker threads, each of which computes one part of a mini-batch.

NumPy releases the interpreter's lock inside its loops and inside BLAS, so threads run in parallel there. The parts of a
batch depend on its size and the model alone, each part has its own gradients, and these are summed in the order of the
parts: results are the same bits for any number of threads. Meanwhile BLAS is limited to one thread (extra `threads`),
since its threads would compete with the workers for the cores. Without the extra, a step is not cut, and BLAS uses its
own threads.
"""

import contextlib
import itertools
import threading

from ..backend.threads import Workers, available, cores, using
from ..errors import MissingExtraError

PARTS = 8  # the largest number of parts: each part needs memory for a gradient, and time to sum it
MOST = 256  # the largest number of threads, unless there are more cores: further threads would only wait


def cut(count, least):
    """[(start, stop)] of nearly equal parts of a batch of `count` examples, each with at least `least`.

    The number of parts is one, or even so that two threads can share them. It depends on the two sizes alone.
    """
    parts = min(PARTS, count // least)
    parts = parts - parts % 2 or 1
    edges = [count * i // parts for i in range(parts + 1)]
    return list(itertools.pairwise(edges))


@contextlib.contextmanager
def workers(count=None):
    """A context with `Workers` on `count` threads (default: as many as operations may use), and BLAS on one thread.

    There are at most `MOST` threads, and fewer if the system cannot start as many. Without the extra `threads` the
    context gives None, or raises MissingExtraError if a count is given.
    """
    try:
        import threadpoolctl
    except ImportError:
        if count is not None:
            raise MissingExtraError("a number of threads", "threads") from None
        yield None
        return
    with _blas.on_one_thread(threadpoolctl.threadpool_limits):
        team = _team(min(count or available(), max(MOST, cores())))
        try:
            with using(len(team.threads) + 1):
                yield team
        finally:
            team.close()


@contextlib.contextmanager
def at_most(count):
    """A context that limits BLAS and the compiled operations to `count` threads, or to the number of cores.

    Raises MissingExtraError without the extra `threads`.
    """
    try:
        import threadpoolctl
    except ImportError:
        raise MissingExtraError("a number of threads", "threads") from None
    count = min(count, cores())
    with threadpoolctl.threadpool_limits(count, user_api="blas"), using(count):
        yield


def _team(count):
    """`Workers` on `count` threads, or on half as many if they cannot be started, and so on."""
    while True:
        try:
            return Workers(count)
        except RuntimeError:
            count //= 2  # a count of 1 starts no thread, so this ends


class _Blas:
    """Limits BLAS to one thread during training. The limit often holds for the process, and trainings may overlap."""

    def __init__(self):
        self.lock, self.users, self.over, self.keeper = threading.Lock(), 0, None, None

    @contextlib.contextmanager
    def on_one_thread(self, limits):
        """A context with BLAS on one thread, until the last of overlapping contexts ends. limits: threadpoolctl's."""
        with self.lock:
            if not self.users:
                self._hold(limits)
            self.users += 1
        try:
            with limits(1, user_api="blas"):  # some BLAS libraries have a limit for each calling thread
                yield
        finally:
            with self.lock:
                self.users -= 1
                if not self.users and self.keeper is not None:
                    self.over.set()
                    self.keeper.join()

    def _hold(self, limits):
        """Set the limit in a thread of its own, since only the same thread may reset it (threadpoolctl 3.8)."""
        held, over = threading.Event(), threading.Event()

        def keep():
            try:
                with limits(1, user_api="blas"):
                    held.set()
                    over.wait()
            finally:
                held.set()

        try:
            keeper = threading.Thread(target=keep, daemon=True)
            keeper.start()
        except RuntimeError:  # without room for a thread no other training can run either
            self.over = self.keeper = None
            return
        self.over, self.keeper = over, keeper
        held.wait()


_blas = _Blas()
