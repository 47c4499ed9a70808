"""Worker threads: a step's batch in parts, each on a thread of its own.

NumPy lets go of the interpreter's lock inside its loops and inside BLAS, so threads run side by side there. A batch is
cut into parts by its size and its model alone, each part has its own gradients, and these are summed in the order of
the parts: results are the same bits for any number of threads. Meanwhile BLAS is held to one thread (extra `threads`),
since its own threads would fight with these for the cores; without the extra a step runs whole, on BLAS's threads.
"""

import contextlib
import itertools
import threading

from ..backend.threads import Workers, available, cores, using
from ..errors import MissingExtraError

PARTS = 8  # the most parts: each costs a gradient of its own and a pass over it
MOST = 256  # threads, unless there are more cores: more would only wait


def cut(count, least):
    """[(start, stop)]: a batch of `count` in parts of `least` examples or more, as equal as can be.

    One part or an even number of them, for two threads to share: a function of the sizes alone.
    """
    parts = min(PARTS, count // least)
    parts = parts - parts % 2 or 1
    edges = [count * i // parts for i in range(parts + 1)]
    return list(itertools.pairwise(edges))


@contextlib.contextmanager
def workers(count=None):
    """Workers on `count` threads (default: as many as operations may use) with BLAS held to one thread.

    They are fewer where the system grants fewer, or where more than `MOST` are asked for.
    Without the extra `threads`: None, or MissingExtraError where a number was asked for.
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
    """BLAS and the compiled operations on `count` threads meanwhile, and no more than there are cores.

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
    """Workers on `count` threads; where these cannot be started, on half as many, and so on: room is left for work."""
    while True:
        try:
            return Workers(count)
        except RuntimeError:
            count //= 2  # with one, none is started


class _Blas:
    """BLAS's number of threads: often one number for the process, where trainings in several threads may overlap."""

    def __init__(self):
        self.lock, self.users, self.over, self.keeper = threading.Lock(), 0, None, None

    @contextlib.contextmanager
    def on_one_thread(self, limits):
        """Hold BLAS to one thread until the last of those who want it is done. limits: threadpoolctl's."""
        with self.lock:
            if not self.users:
                self._hold(limits)
            self.users += 1
        try:
            with limits(1, user_api="blas"):  # for a BLAS whose number belongs to the thread that calls it
                yield
        finally:
            with self.lock:
                self.users -= 1
                if not self.users and self.keeper is not None:
                    self.over.set()
                    self.keeper.join()

    def _hold(self, limits):
        """Set the number from a thread of its own: only the thread that set it may set it back (threadpoolctl 3.8)."""
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
        except RuntimeError:  # there is no room for a thread, and so for no other training
            self.over = self.keeper = None
            return
        self.over, self.keeper = over, keeper
        held.wait()


_blas = _Blas()
