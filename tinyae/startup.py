"""Handles Ctrl-C while the command `tinyae` is still importing: one line and exit code 130, as after the start.

It imports only modules that Python has loaded already, because Ctrl-C prints a traceback until `guard` has run.
"""

import os
import sys

try:
    import _signal as signal  # without the enums of `signal`, which take a millisecond
except ImportError:
    import signal


def guard():
    """Make Ctrl-C end the process without a traceback until `over` is called, if this process is the command."""
    if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        try:
            signal.signal(signal.SIGINT, _stop)
        except ValueError:
            pass  # not the main thread


def over():
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_command():
    program = os.path.basename((getattr(sys, "argv", None) or [""])[0])
    if program == "-m":  # Python puts "-m" there while it looks for the module to run
        return not {"tinyae", "-mtinyae"}.isdisjoint(sys.orig_argv)
    return program.partition(".")[0] in ("tinyae", "tinyae-script")


def _stop(number, frame):
    try:
        os.write(2, b"tinyae: stopped\n")
    except OSError:
        pass
    os._exit(130)


guard()
