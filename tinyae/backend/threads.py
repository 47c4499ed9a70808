"""Worker threads, and how many an operation may use.

NumPy and the compiled primitives let go of the interpreter's lock while they work, so threads run side by side there.
A training step shares its batch out among them (`tinyae.training.threads`). Where it does not, each large operation of
the compiled library is shared out, by threads of its own, with every number computed in one piece: so results are the
same bits for any number of threads.
"""

import contextlib
import os
import queue
import threading

_state = threading.local()  # .busy: this thread works on an item of a map, among others that do
_count = None  # the threads to share an operation among: those of `using`, else the cores


def cores():
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


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
            outer, _state.busy = getattr(_state, "busy", False), len(items) > 1
            try:
                for i in left:
                    results[i] = function(items[i])
            except BaseException as error:  # raised below, in the caller's thread
                return error
            finally:
                _state.busy = outer
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
def using(count):
    """Share operations among `count` threads meanwhile, in this process."""
    global _count
    before, _count = _count, count
    try:
        yield
    finally:
        _count = before


def available():
    """The threads that an operation may use: one where it is itself one of several side by side."""
    if getattr(_state, "busy", False):
        return 1
    return cores() if _count is None else _count
