"""Compiles the library, once: it is kept in the user's cache folder, by a hash of source, compiler and processor.

The compiler is c++, g++ or clang++, the first that is found; the environment's CXX comes before them.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FLAGS = (
    "-O3", "-march=native", "-std=c++20", "-pthread", "-fPIC", "-fno-exceptions", "-fno-rtti",
    "-fno-math-errno", "-fno-trapping-math",  # else a square root is not taken 16 at a time
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
    "forget_threads": " -",
}


def find():
    """(the library or None, what was found in words)."""
    if os.environ.get("TINYAE_NATIVE") == "0":
        return None, "off (TINYAE_NATIVE=0)"
    names = os.environ.get("CXX"), "c++", "g++", "clang++"
    compiler = next(filter(None, (shutil.which(name) for name in names if name)), None)
    if compiler is None:
        return None, "none: no C++ compiler (c++, g++ or clang++) was found"
    try:
        path = _compiled(compiler)
        library = ctypes.CDLL(str(path))
        for name, kinds in FUNCTIONS.items():
            function, (*arguments, _, result) = getattr(library, name), kinds
            function.argtypes, function.restype = [KINDS[kind] for kind in arguments], KINDS[result]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=library.forget_threads)
        return library, f"compiled by {compiler}, kept in {path}"
    except (AttributeError, OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        return None, f"none: {compiler} failed ({reason.strip().partition(chr(10))[0]})"


def _compiled(compiler):
    """The library's path; compiles it unless it is there. Two processes at once do no harm: the last one's stays."""
    sources = sorted(SOURCES.glob("*.cpp"))
    texts = (path.read_text("utf-8") for path in sorted((*sources, *SOURCES.glob("*.h"))))
    parts = _run(compiler, "--version"), " ".join(FLAGS), _processor(), *texts
    name = f"primitives-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.so"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyae"
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        if sys.stderr and sys.stderr.isatty():
            print("tinyae: compiling for this processor; this is done once", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            objects = [f"{work}/{source.stem}.o" for source in sources]
            with ThreadPoolExecutor(len(sources)) as pool:
                list(pool.map(lambda s, o: _run(compiler, *FLAGS, "-c", str(s), "-o", o), sources, objects))
            _run(compiler, "-shared", "-pthread", *objects, "-o", f"{work}/{name}")
            os.replace(f"{work}/{name}", folder / name)
    return folder / name


def _run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def _processor():
    """What the code is compiled for: a home folder may be shared by machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"
