"""The compiled library's first use: who compiles, who waits, what is said, what a killed compilation leaves."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import tinyae
from tinyae.backend import native
from tinyae.backend.native import build

pytestmark = pytest.mark.skipif(os.name != "posix", reason="scripts as compilers")

X = np.random.default_rng(0).random((20, 4, 4, 1), dtype="f4")
COMPILING = "tinyae: compiling its C++ code, once, 120 s at most (TINYAE_NATIVE=0 skips it)\n"


def model(dtype="float32"):
    return tinyae.models.VAE(input_shape=(4, 4, 1), hidden=(4,), dtype=dtype)


def fit(**options):
    return tinyae.fit(model(**options), X, epochs=1, progress=False)


def compiler(monkeypatch, tmp_path, script):
    """A compiler that is this shell script, with $REAL the machine's own; gives the file of its calls."""
    program, calls = tmp_path / "a-compiler", tmp_path / "calls"
    real = build._compiler()
    program.unlink(missing_ok=True)
    program.write_text(f"#!/bin/sh\nREAL={real[0] if real else ''}\necho $$ $@ >> {calls}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("CXX", str(program))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYAE_NATIVE", raising=False)
    native.forget()
    return calls


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "tinyae" / "native").iterdir())


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Sources of one line, as compiling all takes seconds."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "one.cpp").write_text('extern "C" long one() { return 1; } extern "C" void forget_threads() {}')
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setattr(build, "FUNCTIONS", {"one": " l", "forget_threads": " -"})


@pytest.fixture(autouse=True)
def forgotten():
    yield
    native.forget()


def test_inference_does_not_compile(monkeypatch, tmp_path, capfd):
    calls = compiler(monkeypatch, tmp_path, "exit 1")
    vae = model()
    vae.reconstruct(X)
    vae.sample(3)
    vae.decode(vae.encode(X[:1]))
    tinyae.models.NAMES["conv-vae"](input_shape=(8, 8, 1)).encode(np.zeros((1, 8, 8, 1), "f4"))
    assert not calls.exists() and capfd.readouterr().err == ""


def test_training_in_float64_does_not_compile(monkeypatch, tmp_path, capfd):
    calls = compiler(monkeypatch, tmp_path, "exit 1")
    fit(dtype="float64")
    assert not calls.exists() and capfd.readouterr().err == ""


def test_training_compiles_before_it_computes_and_before_its_clock_runs_and_says_so(monkeypatch, tmp_path, capfd):
    """What a model makes of the data before the first step has the bits of a run that finds the library."""
    calls = compiler(monkeypatch, tmp_path, "sleep 0.3; echo error: no >&2; exit 1")
    begun = []

    class Display(tinyae.training.progress.Silent):
        def skip(self, steps):
            begun.append(capfd.readouterr().err)

    vae = model()
    vae.begin = lambda batch, noise: begun.append(calls.exists())
    tinyae.fit(vae, X, epochs=1, progress=Display())
    reason = f"{tmp_path / 'a-compiler'} failed (error: no)"
    assert begun == [True, f"{COMPILING}tinyae: not compiled, NumPy does it all: {reason}\n"]


def test_a_library_that_is_kept_is_found_without_a_process(library, small, monkeypatch, tmp_path):
    calls = compiler(monkeypatch, tmp_path, 'exec $REAL "$@"')
    assert native.library().one() == 1 and len(calls.read_text().splitlines()) == 2
    calls.unlink()
    native.forget()
    assert native.present().one() == 1 and not calls.exists()
    native.forget()
    monkeypatch.setattr(subprocess, "Popen", None)
    assert native.library().one() == 1 and len(kept(tmp_path)) == 1


def test_another_compiler_at_the_same_place_makes_another_library(library, small, monkeypatch, tmp_path):
    compiler(monkeypatch, tmp_path, 'exec $REAL "$@"')
    assert native.library().one() == 1
    os.utime(tmp_path / "a-compiler", (1, 1))  # as after an update
    native.forget()
    assert native.present() is None and native.library().one() == 1 and len(kept(tmp_path)) == 2


def test_operations_do_not_wait_while_another_thread_compiles(monkeypatch, tmp_path):
    enough = tmp_path / "enough"
    calls = compiler(monkeypatch, tmp_path, f"while ! [ -e {enough} ]; do sleep 0.05; done; exit 1")
    other = threading.Thread(target=native.library)
    other.start()
    while not calls.exists():
        time.sleep(0.01)
    model().encode(X)
    assert other.is_alive() and native.present() is None
    enough.touch()
    other.join()


def ended(process):
    """Whether a process is over (or was, when its number is used anew)."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(") ")[2][0] == "Z"


def test_a_compiler_that_hangs_is_given_up_and_ended(monkeypatch, tmp_path, capfd):
    calls = compiler(monkeypatch, tmp_path, "sleep 60")
    monkeypatch.setattr(build, "LIMIT", 0.5)
    began = time.monotonic()
    assert native.library() is None
    assert time.monotonic() - began < 20
    said = f"not compiled, NumPy does it all: {tmp_path / 'a-compiler'} timed out after 0.5 s"
    assert said in capfd.readouterr().err and "timed out" in native.status()
    assert kept(tmp_path) == []
    if os.path.exists("/proc/self/stat"):
        assert all(ended(int(line.split()[0])) for line in calls.read_text().splitlines())


def test_a_compiler_gets_no_words_from_the_terminal(monkeypatch, tmp_path):
    compiler(monkeypatch, tmp_path, "exec cat")  # waits for stdin, if there is one
    assert native.library() is None and "timed out" not in native.status()


def test_a_compiler_of_many_words(monkeypatch, tmp_path):
    many = "head -c 300000 /dev/zero | tr '\\0' 'x' >&2; echo >&2"
    compiler(monkeypatch, tmp_path, f"{many}; echo error: in the end >&2; exit 1")
    assert native.library() is None and "error: in the end" in native.status()


COMPILE = "from tinyae.backend import native; native.library()"


@pytest.mark.parametrize("number, leaves", [(signal.SIGINT, 0), (signal.SIGKILL, 1)])
def test_what_a_stopped_compilation_leaves(number, leaves, monkeypatch, tmp_path):
    calls = compiler(monkeypatch, tmp_path, "sleep 5")
    process = subprocess.Popen([sys.executable, "-c", COMPILE], stderr=subprocess.DEVNULL)
    while not calls.exists():
        time.sleep(0.01)
    process.send_signal(number)
    process.wait()
    assert len(kept(tmp_path)) == leaves
    compiler(monkeypatch, tmp_path, "exit 1")
    assert native.library() is None and kept(tmp_path) == []


def test_a_compilation_at_work_keeps_its_folder(monkeypatch, tmp_path):
    compiler(monkeypatch, tmp_path, "exit 1")
    folder = build._folder()
    own, old, foreign = folder / f"{build._mark()}abc", folder / "tmpabc", folder / ".elsewhere-1-abc"
    for path in (own, old, foreign):
        path.mkdir()
        (path / "one.o").write_bytes(b"")
    os.utime(old, (1, 1))
    assert native.library() is None
    assert kept(tmp_path) == sorted([own, foreign])


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_a_special_file_as_the_library_is_not_read(make, library, small, monkeypatch, tmp_path):
    compiler(monkeypatch, tmp_path, 'exec $REAL "$@"')
    assert native.library().one() == 1
    (made,) = kept(tmp_path)
    made.unlink()
    make(made)
    native.forget()
    assert native.present() is None
    assert native.library().one() == 1 and made.is_file() and not made.is_symlink()
