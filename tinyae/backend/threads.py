"""Worker threads, and how many an operation may use.

NumPy and the compiled operations let go of the interpreter's lock while they work, so threads run side by side there.
A training step shares its batch out among them (`tinyae.training.workers`). Where it does not, each large operation of
the compiled library is shared out, by threads of its own, with every number computed in one piece: so results are the
same bits for any number of threads.
"""

import contextlib
import os
import queue
import threading

# Of each thread, .busy: it works on an item of a map, among others that do; .count: the threads of `using`.
_state = threading.local()


def cores():
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Workers:
    """`count` threads, the caller's among them, that share out the items of a `map`. Queues, as they wake fastest.

    RuntimeError where the system does not grant so many; none is left then.
    """

    def __init__(self, count):
        self.jobs, self.threads = queue.SimpleQueue(), []
        try:
            for _ in range(count - 1):
                thread = threading.Thread(target=self._serve, daemon=True)
                thread.start()
                self.threads.append(thread)
        except RuntimeError:
            self.close()
            raise

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
    """Share the operations that this thread calls among `count` threads meanwhile."""
    before, _state.count = getattr(_state, "count", None), count
    try:
        yield
    finally:
        _state.count = before


def available():
    """The threads that an operation may use: one where it is itself one of several side by side."""
    if getattr(_state, "busy", False):
        return 1
    return getattr(_state, "count", None) or cores()
