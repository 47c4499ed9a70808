"""`tinyae bench`: the benchmarks of a checkout, which an installation does not hold."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from ..errors import ConfigError

PACKAGE = Path(__file__).parents[2]  # the folder that holds this package


def bench_options(parser):
    words = "a benchmark and its options, as in 'tinyae bench step --rounds 5'; without any, the benchmarks are listed"
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="BENCHMARK ...", help=words)


def bench(arguments):
    """Measure speed and memory beside other libraries: python -m benchmarks, in a checkout."""
    words = [word for word in arguments.words if word != "--"]
    path = os.pathsep.join(filter(None, (str(checkout()), os.environ.get("PYTHONPATH"))))
    # A process of its own, since a benchmark settles the number of BLAS's threads before NumPy is imported.
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], env=os.environ | {"PYTHONPATH": path}
    ).returncode


def checkout():
    """The folder of tinyae's sources: that of this package, or the current one where this package is installed."""
    for folder in (PACKAGE, Path.cwd()):
        if (folder / "benchmarks" / "__main__.py").is_file() and (folder / "tinyae" / "__init__.py").is_file():
            return folder
    raise ConfigError(
        "the benchmarks, such as 'tinyae bench step', are in tinyae's repository, not in an installation: run this in "
        "a checkout"
    )
