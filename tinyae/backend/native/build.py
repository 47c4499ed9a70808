"""Compiles the library, once: it is kept in the user's cache folder, by a hash of source, compiler and processor.

Which compiler it is, its file tells (path, time, size), so that a library that is kept is found without a process.

The compiler is c++, g++ or clang++, the first that is found; the environment's CXX, a command with options perhaps
("ccache g++"), comes before them. The folder is tinyae/native below XDG_CACHE_HOME, or else below ~/.cache. Code is
loaded from it, so it must be one that nobody else can write to.
"""

import contextlib
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from ...terminal import say
from .address import address

FLAGS = (
    "-O3", "-march=native", "-std=c++20", "-pthread", "-fPIC",
    "-fno-math-errno", "-fno-trapping-math",  # else a square root is not taken 16 at a time
    "--param=avoid-fma-max-bits=0",  # else some tiles round a product before it is added, and others do not
)  # fmt: skip
SOURCES = Path(__file__).parent
LIMIT = 120  # seconds for all of it
KINDS = {"p": ctypes.c_void_p, "l": ctypes.c_long, "f": ctypes.c_float, "-": None}
FUNCTIONS = {  # kinds of the arguments, then of the result; p is a pointer, - is none
    "pack": "ppppp -",
    "packed_size": "ll l",
    "correlate": "pllpllpppplll -",
    "product": "pllplppl -",
    "product_transposed": "pllplppl -",
    "product_first": "pplllpll -",
    "accumulate": "pplllppplllpllll -",
    "correlate_fast": "ppllppppl -",
    "accumulate_fast": "pplppppl -",
    "bce_with_logits": "pplfppl -",
    "adam": "pplpplfffffl -",
    "relu": "plpl -",
    "relu_gradient": "pplpl -",
    "add_rows": "pllppl -",
    "add_squared_rows": "ppllppl -",
    "add_product_rows": "pppllppl -",
    "standardise": "ppppllpl -",
    "combine": "ppppppllpl -",
    "max_pool": "pplpl -",
    "max_pool_gradient": "pppplppl -",
    "nearest_code": "pllplppppl -",
    "code_sums": "pllplppl -",
    "forget_threads": " -",
}


def find(make=True):
    """(the library or None, what was found in words), or None if it is not compiled yet and `make` is false."""
    if os.environ.get("TINYAE_NATIVE") == "0":
        return None, "off (TINYAE_NATIVE=0)"
    probe = np.empty(1)
    if address(probe) != probe.ctypes.data:
        return None, "none: this interpreter does not keep arrays as CPython does"
    if not list(SOURCES.glob("*.cpp")):
        return None, "none: its C++ sources are not next to it, as in a zip archive"
    try:
        compiler = _compiler()
        if compiler is None:
            return None, "none: no C++ compiler (c++, g++ or clang++) was found"
        path = _path(compiler)
        if not _whole(path):
            if not make:
                return None
            _compile(compiler, path)
        library = ctypes.CDLL(str(path))
        for name, kinds in FUNCTIONS.items():
            function, (*arguments, _, result) = getattr(library, name), kinds
            function.argtypes, function.restype = [KINDS[kind] for kind in arguments], KINDS[result]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=library.forget_threads)
        return library, f"compiled by {shlex.join(compiler)}, kept in {path}"
    except (AttributeError, OSError, RuntimeError, ValueError) as error:
        return None, f"none: {error}"


def _compiler():
    """The command, as a list, or None."""
    names = [shlex.split(os.environ.get("CXX", "")), ["c++"], ["g++"], ["clang++"]]
    return next(([path, *name[1:]] for name in names if name and (path := shutil.which(name[0]))), None)


def _path(compiler):
    """Where the library is kept that this compiler makes of these sources."""
    texts = (path.read_text("utf-8") for path in sorted((*SOURCES.glob("*.cpp"), *SOURCES.glob("*.h"))))
    programs = [Path(found) for word in compiler if (found := shutil.which(word))]  # CXX may name another one before it
    states = [f"{path.resolve()} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in programs]
    parts = shlex.join(compiler), *states, " ".join(FLAGS), _processor(), *texts
    return _folder() / f"operations-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.so"


def _compile(compiler, path):
    """Make the library `path`; OSError says why not. Two processes at once do no harm: the last one's stays."""
    _remove_leftovers(path.parent)
    say(f"tinyae: compiling its C++ code, once, {LIMIT} s at most (TINYAE_NATIVE=0 skips it)")
    sources, until = sorted(SOURCES.glob("*.cpp")), time.monotonic() + LIMIT
    try:
        with tempfile.TemporaryDirectory(prefix=_mark(), dir=path.parent, ignore_cleanup_errors=True) as work:
            objects, made = [f"{work}/{source.stem}.o" for source in sources], Path(work, path.name)
            pairs = zip(sources, objects, strict=True)
            _run(work, until, *([*compiler, *FLAGS, "-c", str(source), "-o", object] for source, object in pairs))
            _run(work, until, [*compiler, "-shared", "-pthread", *objects, "-o", str(made)])
            made.write_bytes(_sealed(made.read_bytes()))
            os.replace(made, path)
    except (OSError, subprocess.SubprocessError) as error:
        say(f"tinyae: not compiled, NumPy does it all: {(reason := _reason(error))}")
        raise OSError(reason) from None


def _reason(error):
    """Why it was not compiled, in words."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"{error.cmd[0]} timed out after {LIMIT} s"
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        return f"{error.cmd[0]} failed ({next((line for line in lines if 'error' in line), lines[0])})"
    return str(error)


def _mark():
    """How the names of this process's temporary folders begin."""
    return f".{platform.node()}-{os.getpid()}-"


def _remove_leftovers(folder):
    """Remove the folders of compilations that were killed: their process is gone, or they are older than any can be."""
    own = f".{platform.node()}-"
    for path in (path for path in folder.iterdir() if path.is_dir()):
        number = path.name.removeprefix(own).partition("-")[0]
        gone = path.name.startswith(own) and number.isdecimal() and not _runs(int(number))
        with contextlib.suppress(OSError):  # another process has just removed it
            if gone or time.time() - path.stat().st_mtime > 2 * LIMIT:
                shutil.rmtree(path)


def _runs(process):
    """Whether a process of this machine is there. Where that cannot be asked without harm, it counts as there."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def _folder():
    """The folder that the library is kept in, made if need be."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "tinyae", "native")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{folder} cannot be made ({error.strerror}): set XDG_CACHE_HOME to a folder of yours") from None
    if hasattr(os, "geteuid"):
        found = folder.stat()
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
            raise OSError(f"{folder} belongs to or can be written by others: set XDG_CACHE_HOME to a folder of yours")
    return folder


def _sealed(code):
    """The code with its SHA-256 at the end, where loaders do not look."""
    return code + hashlib.sha256(code).digest()


def _whole(path):
    """Whether a library is there and sealed: to load a part of one, after a full disk, say, can end the process."""
    found = path.read_bytes() if path.is_file() else b""  # a pipe of that name would be waited for
    return found == _sealed(found[:-32])


def _run(folder, until, *commands):
    """Run commands side by side, their output in files in `folder`; until then, and no longer than this call, they run.

    CalledProcessError for the first that fails, with its words, which may be in any encoding; TimeoutExpired.
    """
    running = []
    try:
        for i, command in enumerate(commands):
            with open(f"{folder}/words-{i}", "wb") as words:
                options = {"stdin": subprocess.DEVNULL, "stdout": words, "stderr": words, "start_new_session": True}
                running.append(subprocess.Popen(command, **options))
        for i, process in enumerate(running):
            if process.wait(max(until - time.monotonic(), 0)):
                words = Path(folder, f"words-{i}").read_text("utf-8", "replace")
                raise subprocess.CalledProcessError(process.returncode, process.args, stderr=words)
    finally:
        for process in running:
            if process.poll() is None:
                _kill(process)


def _kill(process):
    """End a compiler and what it has started."""
    process.kill()
    with contextlib.suppress(AttributeError, OSError):  # a system without groups, or the compiler has already ended
        os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own
    process.wait()


def _processor():
    """What the code is compiled for: a home folder may be shared by machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"
