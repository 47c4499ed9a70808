"""Worker threads, and sharing one operation among them.

NumPy and the compiled primitives let go of the interpreter's lock while they work, so threads run side by side there.
A training step shares its batch out (`tinyae.training.threads`); where it cannot, each large operation is shared, so
that every number is still computed in one piece: results are the same bits for any number of threads.
"""

import contextlib
import itertools
import os
import queue
import threading

_state = threading.local()  # .busy: this thread works on an item of a map, among others that do
_team = None  # the Workers to share with: those of `using`, else some made at first need
_lock = threading.Lock()


def cores():
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Workers:
    """`count` threads, the caller's among them, that share out the items of a `map`. Queues, as they wake fastest."""

    def __init__(self, count):
        self.count, self.jobs = count, queue.SimpleQueue()
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
def using(team):
    """Share operations among `team` in this process meanwhile."""
    global _team
    before, _team = _team, team
    try:
        yield team
    finally:
        _team = before


def share(function, count, least=1):
    """function(start, stop) over ranges that make up range(count), side by side: one for each thread.

    No range is shorter than `least`; on a thread that is one of several at work already, there is one.
    """
    team = None if getattr(_state, "busy", False) or count < 2 * least else _current()
    pieces = 1 if team is None else min(team.count, count // least)
    if pieces == 1:
        function(0, count)
        return
    edges = [count * i // pieces for i in range(pieces + 1)]
    team.map(lambda edge: function(*edge), itertools.pairwise(edges))


def _current():
    global _team
    with _lock:
        if _team is None:
            _team = Workers(cores())
        return _team


def _forget():
    """A forked child has none of its parent's threads, and perhaps its lock in another's hands."""
    global _team, _lock
    _team, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
