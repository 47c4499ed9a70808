"""Ctrl-C, SIGTERM and SIGHUP during training, with a host program's own handlers, and before the program has begun."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from command_line import ENVIRONMENT, ROOT

import tinyae
from tinyae import startup
from tinyae.training.signals import stop_signals

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")

INT, TERM, HUP = (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP"))


@pytest.fixture(autouse=True)
def handlers():
    """Every test begins with Python's own handlers, and leaves them."""
    before = {number: signal.getsignal(number) for number in (INT, TERM, HUP)}
    signal.signal(INT, signal.default_int_handler)
    signal.signal(TERM, signal.SIG_DFL)
    signal.signal(HUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def fit(at=3, press=lambda: None):
    """A training of ten steps; `press` is called within one of them."""
    model = tinyae.models.AE(input_shape=(4, 4, 1), hidden=(4,))
    step, calls = model.step, []

    def pressed(*arguments, **options):
        calls.append(1)
        if len(calls) == at:
            press()
        return step(*arguments, **options)

    model.step = pressed
    return tinyae.fit(model, np.zeros((10, 4, 4, 1), "f4"), epochs=1, batch_size=1, progress=False)


@pytest.mark.parametrize("number", [INT, TERM, HUP])
def test_a_handler_of_the_host_is_back_afterwards_and_hears_of_what_came(number):
    heard = []

    def own(number, frame):
        heard.append(number)

    signal.signal(number, own)
    assert not fit().interrupted and signal.getsignal(number) is own and heard == []
    history = fit(press=lambda: signal.raise_signal(number))
    assert (history.interrupted, history.steps) == (True, 3)
    assert signal.getsignal(number) is own and heard == [number]


def test_a_handler_that_ends_the_program_does_so_when_the_step_is_done():
    seen = []
    signal.signal(TERM, lambda number, frame: sys.exit(7))
    with pytest.raises(SystemExit) as end, stop_signals() as stop:
        signal.raise_signal(TERM)
        seen.append(stop.is_set())
    assert end.value.code == 7 and seen == [True]


def test_the_second_signal_goes_to_the_host():
    heard = []
    signal.signal(INT, lambda number, frame: heard.append(number))
    with stop_signals():
        signal.raise_signal(INT)
        assert heard == []
        signal.raise_signal(INT)
        assert heard == [INT]
    assert heard == [INT, INT]
    signal.signal(INT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), stop_signals():
        signal.raise_signal(INT)
        signal.raise_signal(INT)


def test_a_closed_terminal_may_tell_it_twice():
    """The terminal and the shell both do, and the training is saved all the same."""

    def press():
        signal.raise_signal(HUP)
        signal.raise_signal(HUP)

    history = fit(press=press)
    assert (history.interrupted, history.steps) == (True, 3) and signal.getsignal(HUP) is signal.SIG_DFL


def test_a_handler_that_python_does_not_know_is_left_alone(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    with stop_signals():
        monkeypatch.undo()
        assert signal.getsignal(INT) is signal.default_int_handler


def test_what_is_ignored_stays_ignored():
    """Workers of a pool ignore Ctrl-C where their parent sees to it."""
    signal.signal(INT, signal.SIG_IGN)
    assert not fit(press=lambda: signal.raise_signal(INT)).interrupted
    assert signal.getsignal(INT) is signal.SIG_IGN


def test_a_handler_set_in_c_works_again_afterwards():
    heard = []
    libc, kind = ctypes.CDLL(None), ctypes.CFUNCTYPE(None, ctypes.c_int)
    in_c = kind(heard.append)
    libc.signal.restype, libc.signal.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
    libc.signal(INT, ctypes.cast(in_c, ctypes.c_void_p))
    fit()
    signal.raise_signal(INT)
    assert heard == [INT]


def test_asyncio_hears_of_signals_during_and_after_a_training():
    async def program():
        heard = []
        asyncio.get_running_loop().add_signal_handler(INT, heard.append, "heard")
        history = fit(press=lambda: signal.raise_signal(INT))
        await asyncio.sleep(0.01)
        during = list(heard)
        signal.raise_signal(INT)
        await asyncio.sleep(0.01)
        return history.interrupted, during, heard

    assert asyncio.run(program()) == (True, ["heard"], ["heard", "heard"])


def test_a_handler_set_during_a_training_stays():
    def own(number, frame):
        pass

    fit(press=lambda: signal.signal(INT, own))
    assert signal.getsignal(INT) is own


def test_a_training_in_another_thread_touches_no_handler():
    found = []
    thread = threading.Thread(target=lambda: fit(press=lambda: found.append(signal.getsignal(INT))))
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


# Before the program has begun

INTERRUPTED = """
import os, signal, sys

class Pressed:
    def find_spec(self, name, *rest):
        if name == {at!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Pressed())
"""


IMPORTED = ("tinyae.latent", "tinyae.layers", "numpy.linalg", "tinyae.cli", "argparse", "tinyae.commands.train")


@pytest.mark.parametrize("at", IMPORTED)  # the first one is what tinyae imports first
@pytest.mark.parametrize("how", ["module", "script"])
def test_ctrl_c_while_the_command_is_imported(at, how, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED.format(at=at))
    script = tmp_path / "tinyae"
    script.write_text("import sys\nfrom tinyae.cli import main\nsys.exit(main())\n")
    words = ["-m", "tinyae"] if how == "module" else [str(script)]
    env = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([sys.executable, *words, "--version"], capture_output=True, text=True, cwd=ROOT, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "tinyae: stopped\n")


def test_a_program_that_imports_tinyae_keeps_its_handler():
    assert not startup._is_command() and signal.getsignal(INT) is signal.default_int_handler
    startup.guard()
    assert signal.getsignal(INT) is signal.default_int_handler
