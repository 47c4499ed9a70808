"""`tinyae bench` runs the benchmarks of a checkout of the repository. An installation does not contain them."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from ..errors import ConfigError

PACKAGE = Path(__file__).parents[2]  # the folder that holds this package


def bench_options(parser):
    words = "a benchmark and its options, e.g. 'step --rounds 5'; without a name, the benchmarks are listed"
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="BENCHMARK ...", help=words)


def bench(arguments):
    """Compare speed and memory with other libraries; needs a checkout of the repository."""
    words = [word for word in arguments.words if word != "--"]
    path = os.pathsep.join(filter(None, (str(checkout()), os.environ.get("PYTHONPATH"))))
    # A benchmark sets the number of BLAS threads before NumPy is imported, so it runs in a process of its own.
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], env=os.environ | {"PYTHONPATH": path}
    ).returncode


def checkout():
    """The checkout with the benchmarks: this package's own, or the current folder if this package is installed."""
    for folder in (PACKAGE, Path.cwd()):
        if (folder / "benchmarks" / "__main__.py").is_file() and (folder / "tinyae" / "__init__.py").is_file():
            return folder
    raise ConfigError(
        "an installed tinyae does not contain the benchmarks: run 'tinyae bench' in a checkout of its repository"
    )
