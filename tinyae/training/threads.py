"""Worker threads: a step's batch in parts, each on a thread of its own.

NumPy lets go of the interpreter's lock inside its loops and inside BLAS, so threads run side by side there. A batch is
cut into parts by its size alone, each part has its own gradients, and these are summed in the order of the parts:
results are the same bits for any number of threads. Meanwhile BLAS is held to one thread (extra `threads`), since its
own threads would fight with these for the cores; without the extra a step runs whole, on BLAS's threads.
"""

import concurrent.futures
import contextlib
import itertools
import os

PART = 64  # the fewest examples in a part: smaller ones lose more in the matrix products than threads win
PARTS = 8  # the most parts: each costs a gradient of its own and a pass over it


def cores():
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def cut(count):
    """[(start, stop)]: the parts of a batch, as equal as can be; a function of its size alone."""
    parts = max(1, min(PARTS, count // PART))
    edges = [count * i // parts for i in range(parts + 1)]
    return list(itertools.pairwise(edges))


class Workers:
    """`count` threads, the caller's among them, that share out the items of a `map`."""

    def __init__(self, count):
        self.count = count
        self.pool = concurrent.futures.ThreadPoolExecutor(count - 1) if count > 1 else None

    def map(self, function, items):
        """[function(item) for item in items], each on whichever thread is free."""
        items = list(items)
        results, left = [None] * len(items), iter(range(len(items)))  # next() on it is one atomic operation

        def work():
            for i in left:
                results[i] = function(items[i])

        helpers = min(self.count, len(items)) - 1
        futures = [self.pool.submit(work) for _ in range(helpers)]
        try:
            work()
        finally:
            concurrent.futures.wait(futures)
        for future in futures:
            future.result()
        return results

    def close(self):
        if self.pool is not None:
            self.pool.shutdown()


@contextlib.contextmanager
def workers(count=None):
    """Workers on `count` threads (default: the cores) with BLAS held to one thread; None without threadpoolctl."""
    try:
        import threadpoolctl
    except ImportError:
        yield None
        return
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        team = Workers(count or cores())
        try:
            yield team
        finally:
            team.close()
