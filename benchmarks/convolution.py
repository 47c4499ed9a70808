"""Milliseconds of convolutions and of training steps of convolutional models, compared with PyTorch and JAX.

A layer is timed forward and backward (dx, dw and db together), a model by its training step with Adam. tinyae runs a
layer as a step does: the batch in two parts on worker threads. "distance" is the time over what the same number of
operations takes at the rate of sgemm in NumPy; below 1 means less arithmetic than the plain formula.
"""

import contextlib
import time

from .contenders import CONVOLUTION, Worker, available
from .convolution_cases import CASES
from .harness import interleave, ratio, report, say, table
from .step import PAUSE, agree

MODULE = "benchmarks.convolution_worker"
CHECKED = 3


def measure(names=tuple(CONVOLUTION), rounds=7, only=None, cores=None, module=MODULE, cases=CASES):
    """The result for the JSON: {"cases": {name: report}, ...}. What contenders compute is compared before any timing.

    tinyae takes part in any case: the rate of sgemm is measured in its process. module: whose workers find the `cases`
    by their names. only: some of these names.
    """
    found, versions = {}, {}
    with contextlib.ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(name, cores, module))
            for name in dict.fromkeys(["tinyae", *available(names, CONVOLUTION)])
        }
        for name in only or cases:
            say(f"{name}: all contenders do the same work?")
            _check(workers, name, cases[name])
            for phase in cases[name].phases:
                found[f"{name} {phase}"] = _case(workers, name, cases[name], phase, rounds)
        for worker in workers.values():
            versions |= worker.ask("versions")
        rate = workers["tinyae"].ask("rate")
    for result in found.values():
        result["distance"] = result["contenders"]["tinyae"]["median"] / (result["flops"] / rate)
    return {"cases": found, "sgemm_flops_per_second": rate, "versions": versions}


def _check(workers, name, case):
    """All agree on the case of a name; a peer that cannot run it is named and takes part no longer."""
    found = {}
    for contender, worker in list(workers.items()):
        try:
            found[contender] = worker.ask(f"check {CHECKED} {name}")
        except RuntimeError as error:
            if contender == "tinyae":
                raise
            print(f"skipped from {name} on: {error}", flush=True)
            del workers[contender]
    agree(found, case.tolerance)


def _case(workers, name, case, phase, rounds):
    def block(worker):
        time.sleep(PAUSE)
        return worker.ask(f"run {case.runs} {name} {phase}")

    result = report(interleave({peer: lambda w=worker: block(w) for peer, worker in workers.items()}, rounds), "tinyae")
    print(table(f"{name} {phase}, ms", result, 1e3), flush=True)
    return result | {"flops": case.flops(phase)}


def show(result):
    """A line for each case: tinyae compared with the PyTorch that is fastest there by its median, and the floor."""
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
    r, text = case["ratios"][best], f"{best}, {1e3 * torches[best]:.3g} ms"
    return f"{'':7} {text} ({ratio(r)})" if r.get("rounds") == 1 else f"{r['median']:7.2f} {text}"
