"""Milliseconds of the nearest codes, argmin_k |z - e_k|^2, compared with PyTorch's usual forms and NumPy.

tinyae's codes equal a brute-force search's in float64; the others' may differ where two codes are equally near except
for rounding. "cdist" takes distances, "addmm" and NumPy |e|^2 - 2 z.e. A process each, as in `step`.
"""

import contextlib
import os
import sys
import time

from tinyae.training.workers import workers

from .contenders import Worker, available
from .harness import interleave, report, table
from .serve import serve
from .step import PAUSE

SIZES = (8192, 64, 128), (8192, 512, 256), (6272, 128, 16)  # vectors, codes, numbers of each
NAMES = "tinyae", "tinyae-numpy", "numpy", "torch-cdist", "torch-addmm", "torch-compile"
NEAREST = {name: (name.partition("-")[0], {}) for name in NAMES}
AGREE = 0.999  # share of the codes
RUNS, WARM_UP = 10, 0.05  # timed, and seconds before them, one run at least


def measure(names=NAMES, rounds=20, cores=None, sizes=SIZES):
    """The result for the JSON: {"sizes": {name: report}}. Before any timing the codes are compared."""
    results = {}
    with contextlib.ExitStack() as stack:
        processes = {
            name: stack.enter_context(Worker(name, cores, "benchmarks.nearest"))
            for name in dict.fromkeys(["tinyae", *available(names, NEAREST)])
        }
        for count, codes, units in sizes:
            size = f"{count} {codes} {units}"
            agree({name: worker.ask(f"check {size}") for name, worker in processes.items()})

            def block(worker, size=size):
                time.sleep(PAUSE)
                return worker.ask(f"run {size}")

            timed = interleave({name: lambda w=worker: block(w) for name, worker in processes.items()}, rounds)
            flops = {"flops": 2 * count * codes * units}
            results[f"{count} in {codes}, {units} wide"] = report(timed, "tinyae") | flops
    return {"sizes": results}


def agree(codes):
    """Raise SystemExit unless nearly all codes equal tinyae's."""
    for name, theirs in codes.items():
        same = sum(a == b for a, b in zip(codes["tinyae"], theirs, strict=True)) / len(theirs)
        if same < AGREE:
            raise SystemExit(f"tinyae and {name} agree on {100 * same:.1f} % of the codes")


def show(result):
    for title, measured in result["sizes"].items():
        print(table(f"{title}, ms", measured, 1e3))
        rate = measured["flops"] / measured["contenders"]["tinyae"]["median"]
        print(f"  {rate / 1e9:.0f} GFLOP/s of scores in tinyae")


def data(count, codes, units):
    """z (M, D) and a codebook (K, D), drawn."""
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.standard_normal((count, units), np.float32), rng.standard_normal((codes, units), np.float32)


def contender(name):
    """(function(z, codebook) -> codes, what its arrays are made by)."""
    if name.startswith("tinyae"):
        if name == "tinyae-numpy":
            os.environ["TINYAE_NATIVE"] = "0"
        from tinyae.backend.operations import compile_now
        from tinyae.latent.quantize import nearest

        compile_now()  # before anything is measured
        return nearest, lambda array: array
    if name == "numpy":
        return lambda z, e: ((e * e).sum(axis=1) - 2 * z @ e.T).argmin(axis=1), lambda array: array
    import torch

    if name == "torch-cdist":
        return lambda z, e: torch.cdist(z, e).argmin(dim=1), torch.from_numpy

    def by_products(z, e):
        return torch.addmm(e.square().sum(dim=1), z, e.T, alpha=-2).argmin(dim=1)

    return torch.compile(by_products) if name == "torch-compile" else by_products, torch.from_numpy


def begin(name):
    """Answers "check M K D", the codes, and "run M K D", the seconds of one of several runs."""
    function, convert = contender(name)

    def answer(command, *size):
        z, codebook = map(convert, data(*map(int, size)))
        if command == "check":
            return function(z, codebook).tolist()
        began, seconds = time.perf_counter(), []
        while len(seconds) < RUNS:
            started = time.perf_counter()
            function(z, codebook)
            if started - began > WARM_UP:  # never the first
                seconds.append(time.perf_counter() - started)
        return sum(seconds) / RUNS

    return answer


if __name__ == "__main__":
    with workers() if sys.argv[1].startswith("tinyae") else contextlib.nullcontext():  # as in training
        serve(begin)
