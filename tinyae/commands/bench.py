"""`tinyae bench`: the benchmarks of a checkout, which an installation does not hold."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from ..errors import ConfigError

CHECKOUT = Path(__file__).parents[2]


def bench_options(parser):
    words = "a benchmark and its options, as in 'tinyae bench step --rounds 5'; 'tinyae bench -- --help' lists them"
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="BENCHMARK ...", help=words)


def bench(arguments):
    """Measure speed and memory beside other libraries: python -m benchmarks, in a checkout."""
    words = [word for word in arguments.words if word != "--"]
    if not (CHECKOUT / "benchmarks" / "__main__.py").is_file():
        raise ConfigError("the benchmarks are in tinyae's repository, not in an installation: run this in a checkout")
    if not words:
        raise ConfigError("tinyae bench needs the name of a benchmark, e.g. step: 'tinyae bench -- --help' lists them")
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    # A process of its own, since a benchmark settles the number of BLAS's threads before NumPy is imported.
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], env=os.environ | {"PYTHONPATH": path}
    ).returncode
