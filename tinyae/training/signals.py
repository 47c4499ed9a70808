"""Ctrl-C, SIGTERM and SIGHUP while a model is trained, beside the handlers that the host program has."""

import contextlib
import ctypes
import signal
import threading

SIGHUP = getattr(signal, "SIGHUP", None)  # a terminal was closed; Windows has none
STOPPING = [number for number in (signal.SIGINT, signal.SIGTERM, SIGHUP) if number is not None]
ROOM = 1024  # bytes, more than a struct sigaction has anywhere


@contextlib.contextmanager
def stop_signals():
    """An event that SIGINT, SIGTERM and SIGHUP set, so that a step is never cut.

    A second signal acts as usual, but for SIGHUP: where a terminal is closed, it and the shell both send one.
    A handler of the host program is called afterwards, when the run is saved. A signal that the host ignores, or
    whose handler Python does not know (`signal.getsignal` gives None), is left alone.
    """
    stop, arrived, actions = threading.Event(), [], {}

    def handler(number, frame):
        stop.set()
        arrived.append(number)
        if number != SIGHUP:
            _restore(number, actions[number])

    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                actions[number] = signal.getsignal(number), _in_c(number)
                signal.signal(number, handler)
    try:
        yield stop
    finally:
        for number, action in actions.items():
            if signal.getsignal(number) is handler:
                _restore(number, action)
        for number in arrived:
            own = actions[number][0]
            if callable(own) and own is not signal.default_int_handler:
                own(number, None)


def _restore(number, action):
    own, in_c = action
    signal.signal(number, own)
    if in_c is not None:
        ctypes.CDLL(None).sigaction(number, in_c, None)


def _in_c(number):
    """The signal's struct sigaction, or None where the system has none: C code may have set another than Python's."""
    if not hasattr(signal, "pthread_kill"):  # not a POSIX system
        return None
    action = ctypes.create_string_buffer(ROOM)
    ctypes.CDLL(None).sigaction(number, None, action)
    return action
