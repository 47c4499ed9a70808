"""Worker threads: a step's batch in parts, each on a thread of its own.

NumPy lets go of the interpreter's lock inside its loops and inside BLAS, so threads run side by side there. A batch is
cut into parts by its size and its model alone, each part has its own gradients, and these are summed in the order of
the parts: results are the same bits for any number of threads. Meanwhile BLAS is held to one thread (extra `threads`),
since its own threads would fight with these for the cores; without the extra a step runs whole, on BLAS's threads.
"""

import contextlib
import itertools

from ..backend.threads import Workers, available, cores, using
from ..errors import MissingExtraError

PARTS = 8  # the most parts: each costs a gradient of its own and a pass over it


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

    Without the extra `threads`: None, or MissingExtraError where a number was asked for.
    """
    try:
        import threadpoolctl
    except ImportError:
        if count is not None:
            raise MissingExtraError("a number of threads", "threads") from None
        yield None
        return
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        team = Workers(count or available())
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
