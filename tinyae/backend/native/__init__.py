"""The primitives in C++, compiled on this machine at their first use: float32 on the CPU, several times faster.

A C++ compiler is all it takes (c++, g++ or clang++; the environment's CXX is asked first), as for `torch.compile`. The
library is kept in the user's cache folder, under a name that hashes source, compiler and processor. Without a compiler,
or with TINYAE_NATIVE=0, everything runs on NumPy alone.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-fno-exceptions", "-fno-rtti")
SOURCES = Path(__file__).parent
_lock = threading.Lock()


def library():
    """The compiled library, a ctypes.CDLL, or None where there is none (`status` says why)."""
    return _found()[0]


def status():
    """What `library` found, in words."""
    return _found()[1]


def _found():
    with _lock:  # two threads may ask first at once
        return _find()


@functools.cache
def _find():
    if os.environ.get("TINYAE_NATIVE") == "0":
        return None, "off (TINYAE_NATIVE=0)"
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX") or "c++", "g++", "clang++"))), None)
    if compiler is None:
        return None, "none: no C++ compiler (c++, g++ or clang++) was found"
    try:
        path = _compiled(compiler)
        return ctypes.CDLL(str(path)), f"compiled by {compiler}, in {path}"
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        return None, f"none: {compiler} failed ({reason.strip().partition(chr(10))[0]})"


def _compiled(compiler):
    """The library's path; compiles it unless it is there. Two processes at once do no harm: the last one's stays."""
    sources = sorted(SOURCES.glob("*.cpp"))
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    parts = [version, " ".join(FLAGS), _processor(), *(p.read_text("utf-8") for p in sorted(SOURCES.glob("*.[ch]*")))]
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyae"
    path = folder / f"primitives-{name}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            made = Path(work) / path.name
            command = [compiler, *FLAGS, "-o", str(made), *map(str, sources)]
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
            os.replace(made, path)
    return path


def _processor():
    """What the code is compiled for: a home folder may be shared by machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"


def address(array):
    """Where an array's first number is, for a pointer argument."""
    return ctypes.c_void_p(array.ctypes.data)
