"""Compiles the library, once: it is kept in the user's cache folder, by a hash of source, compiler and processor.

The compiler is c++, g++ or clang++, the first that is found; the environment's CXX, a command with options perhaps
("ccache g++"), comes before them. The folder is tinyae/native below XDG_CACHE_HOME, or else below ~/.cache. Code is
loaded from it, so it must be one that nobody else can write to.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from . import address

FLAGS = (
    "-O3", "-march=native", "-std=c++20", "-pthread", "-fPIC",
    "-fno-math-errno", "-fno-trapping-math",  # else a square root is not taken 16 at a time
    "--param=avoid-fma-max-bits=0",  # else some tiles round a product before it is added, and others do not
)  # fmt: skip
SOURCES = Path(__file__).parent
KINDS = {"p": ctypes.c_void_p, "l": ctypes.c_long, "f": ctypes.c_float, "-": None}
FUNCTIONS = {  # the kinds of the arguments, then that of the result; p is a pointer, - is none
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


def find():
    """(the library or None, what was found in words)."""
    if os.environ.get("TINYAE_NATIVE") == "0":
        return None, "off (TINYAE_NATIVE=0)"
    probe = np.empty(1)
    if address(probe) != probe.ctypes.data:
        return None, "none: this interpreter does not keep arrays as CPython does"
    try:
        compiler = _compiler()
        if compiler is None:
            return None, "none: no C++ compiler (c++, g++ or clang++) was found"
        path = _compiled(compiler)
        library = ctypes.CDLL(str(path))
        for name, kinds in FUNCTIONS.items():
            function, (*arguments, _, result) = getattr(library, name), kinds
            function.argtypes, function.restype = [KINDS[kind] for kind in arguments], KINDS[result]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=library.forget_threads)
        return library, f"compiled by {shlex.join(compiler)}, kept in {path}"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        reason = next((line for line in lines if "error" in line), lines[0])
        return None, f"none: {error.cmd[0]} failed ({reason})"
    except (AttributeError, OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        return None, f"none: {error}"


def _compiler():
    """The command, as a list, or None."""
    names = [shlex.split(os.environ.get("CXX", "")), ["c++"], ["g++"], ["clang++"]]
    return next(([path, *name[1:]] for name in names if name and (path := shutil.which(name[0]))), None)


def _compiled(compiler):
    """The library's path; compiles it unless it is there. Two processes at once do no harm: the last one's stays."""
    sources = sorted(SOURCES.glob("*.cpp"))
    texts = (path.read_text("utf-8") for path in sorted((*sources, *SOURCES.glob("*.h"))))
    parts = shlex.join(compiler), _run(*compiler, "--version"), " ".join(FLAGS), _processor(), *texts
    name = f"primitives-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.so"
    folder = _folder()
    if not _whole(folder / name):
        if sys.stderr and sys.stderr.isatty():
            print("tinyae: compiling for this processor; this is done once", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            objects, made = [f"{work}/{source.stem}.o" for source in sources], Path(work, name)
            with ThreadPoolExecutor(len(sources)) as pool:
                list(pool.map(lambda s, o: _run(*compiler, *FLAGS, "-c", str(s), "-o", o), sources, objects))
            _run(*compiler, "-shared", "-pthread", *objects, "-o", str(made))
            made.write_bytes(_sealed(made.read_bytes()))
            os.replace(made, folder / name)
    return folder / name


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
    found = path.read_bytes() if path.exists() else b""
    return found == _sealed(found[:-32])


def _run(*command):
    """What a command prints. Its words may be in any encoding."""
    options = {"capture_output": True, "text": True, "errors": "replace", "check": True, "timeout": 300}
    return subprocess.run(command, **options).stdout


def _processor():
    """What the code is compiled for: a home folder may be shared by machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"
