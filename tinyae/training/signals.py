"""Handling of Ctrl-C, SIGTERM and SIGHUP during training, which respects the handlers of the host program."""

import contextlib
import ctypes
import signal
import threading

SIGHUP = getattr(signal, "SIGHUP", None)  # sent when a terminal is closed; Windows lacks it
STOPPING = [number for number in (signal.SIGINT, signal.SIGTERM, SIGHUP) if number is not None]
ROOM = 1024  # bytes, more than a struct sigaction has on any system


@contextlib.contextmanager
def stop_signals():
    """A context whose event is set by SIGINT, SIGTERM and SIGHUP, so that the current step can be finished.

    A second signal acts as usual, except SIGHUP: when a terminal is closed, the terminal and the shell both send it.
    A handler of the host program is called at the end, when the run is saved. A signal is left alone if the host
    ignores it, or if its handler was not set by Python (`signal.getsignal` gives None).
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
    """The signal's struct sigaction, which C code may have set, or None on a system that is not POSIX."""
    if not hasattr(signal, "pthread_kill"):
        return None
    action = ctypes.create_string_buffer(ROOM)
    ctypes.CDLL(None).sigaction(number, None, action)
    return action
