"""Worker threads: a step's batch in parts, each on a thread of its own.

NumPy lets go of the interpreter's lock inside its loops and inside BLAS, so threads run side by side there. A batch is
cut into parts by its size and its model alone, each part has its own gradients, and these are summed in the order of
the parts: results are the same bits for any number of threads. Meanwhile BLAS is held to one thread (extra `threads`),
since its own threads would fight with these for the cores; without the extra a step runs whole, on BLAS's threads.
"""

import contextlib
import itertools
import os
import queue
import threading

from ..errors import MissingExtraError

PARTS = 8  # the most parts: each costs a gradient of its own and a pass over it


def cores():
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def cut(count, least):
    """[(start, stop)]: a batch of `count` in parts of `least` examples or more, as equal as can be.

    One part or an even number of them, for two threads to share: a function of the sizes alone.
    """
    parts = min(PARTS, count // least)
    parts = parts - parts % 2 or 1
    edges = [count * i // parts for i in range(parts + 1)]
    return list(itertools.pairwise(edges))


class Workers:
    """`count` threads, the caller's among them, that share out the items of a `map`. Queues, as they wake fastest."""

    def __init__(self, count):
        self.jobs = queue.SimpleQueue()
        self.threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count - 1)]
        for thread in self.threads:
            thread.start()

    def _serve(self):
        for work, done in iter(self.jobs.get, None):
            done.put(work())

    def map(self, function, items):
        """[function(item) for item in items], each on whichever thread is free. Raises the first error."""
        items = list(items)
        results, left = [None] * len(items), iter(range(len(items)))  # next() on it is one atomic operation
        done = queue.SimpleQueue()

        def work():
            try:
                for i in left:
                    results[i] = function(items[i])
            except BaseException as error:  # raised below, in the caller's thread
                return error
            return None

        helpers = min(len(self.threads), max(len(items) - 1, 0))
        for _ in range(helpers):
            self.jobs.put((work, done))
        errors = [work()] + [done.get() for _ in range(helpers)]
        for error in filter(None, errors):
            raise error
        return results

    def close(self):
        for _ in self.threads:
            self.jobs.put(None)
        for thread in self.threads:
            thread.join()


@contextlib.contextmanager
def workers(count=None):
    """Workers on `count` threads (default: the cores) with BLAS held to one thread.

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
        team = Workers(count or cores())
        try:
            yield team
        finally:
            team.close()
