"""Milliseconds of single convolutions and of whole training steps of convolutional models, beside PyTorch and JAX.

A layer is timed forward and backward (dx, dw and db together), a model by its training step with Adam. tinyae runs a
layer as a step does: the batch in two parts on worker threads. "distance" is the time over that of the same number of
operations at the rate of sgemm in NumPy; below 1 means less arithmetic than the plain formula.
"""

import contextlib
import time

from .contenders import CONVOLUTION, Worker, available
from .convolution_cases import CASES, LAYERS, MODELS
from .harness import interleave, report, table
from .step import PAUSE, agree

MODULE = "benchmarks.convolution_worker"
CHECKED = 3


def measure(names=tuple(CONVOLUTION), rounds=7, only=None, cores=None):
    """The result for the JSON: {"cases": {name: report}, ...}. Losses and sums are compared before any timing.

    tinyae takes part in any case: the rate of sgemm is measured in its process.
    """
    cases, versions = {}, {}
    with contextlib.ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(name, cores, MODULE))
            for name in dict.fromkeys(["tinyae", *available(names, CONVOLUTION)])
        }
        for case in only or [*LAYERS, *MODELS]:
            _check(workers, case)
            for phase in CASES[case].phases:
                cases[f"{case} {phase}"] = _case(workers, case, phase, rounds)
        for worker in workers.values():
            versions |= worker.ask("versions")
        rate = workers["tinyae"].ask("rate")
    for result in cases.values():
        result["distance"] = result["contenders"]["tinyae"]["median"] / (result["flops"] / rate)
    return {"cases": cases, "sgemm_flops_per_second": rate, "versions": versions}


def _check(workers, case):
    """All agree on the case; a peer that cannot run it is named and takes part no longer."""
    found = {}
    for name, worker in list(workers.items()):
        try:
            found[name] = worker.ask(f"check {CHECKED} {case}")
        except RuntimeError as error:
            if name == "tinyae":
                raise
            print(f"skipped from {case} on: {error}", flush=True)
            del workers[name]
    agree(found, CASES[case].tolerance)


def _case(workers, case, phase, rounds):
    def block(worker):
        time.sleep(PAUSE)
        return worker.ask(f"run {CASES[case].runs} {case} {phase}")

    result = report(interleave({name: lambda w=worker: block(w) for name, worker in workers.items()}, rounds), "tinyae")
    print(table(f"{case} {phase}, ms", result, 1e3), flush=True)
    return result | {"flops": CASES[case].flops(phase)}


def show(result):
    """A line for each case: tinyae beside the PyTorch that is fastest there by its median, and the floor."""
    rate = result["sgemm_flops_per_second"]
    print(f"the floor is the plain formula at the {rate / 1e9:.0f} GFLOP/s of sgemm")
    print(f"{'':34}{'ours, ms':>9}{'MFLOP':>9}{'distance':>9}{'ratio':>7} to the fastest PyTorch")
    for name, case in result["cases"].items():
        ours = case["contenders"]["tinyae"]["median"]
        line = f"  {name:32}{1e3 * ours:9.3g}{case['flops'] / 1e6:9,.0f}{case['distance']:9.2f}"
        print(line + beside(case))


def beside(case):
    """The ratio to the fastest PyTorch and which one that is, where there is one."""
    torches = {name: s["median"] for name, s in case["contenders"].items() if name.startswith("torch")}
    if not torches:
        return ""
    best = min(torches, key=torches.get)
    return f"{case['ratios'][best]['median']:7.2f} {best}, {1e3 * torches[best]:.3g} ms"
