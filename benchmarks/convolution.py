"""Milliseconds of single convolutions and of whole training steps of convolutional models, beside PyTorch.

A layer is timed forward and backward (dx, dw and db together), a model by its training step with Adam. tinyae runs a
layer as a step does: the batch in two parts on worker threads. "distance" is the time over that of the same number of
operations at the rate of sgemm in NumPy; below 1 means less arithmetic than the plain formula.
"""

import contextlib
import time

from .contenders import Worker
from .convolution_cases import LAYERS, MODELS, model_flops
from .harness import interleave, report, table
from .step import PAUSE, agree

MODULE = "benchmarks.convolution_worker"
NAMES = "tinyae", "torch", "torch-channels-last"
CHECKED = 3


def measure(rounds=7, only=None, cores=None):
    """The result for the JSON: {"cases": {name: report}, ...}. Losses and sums are compared before any timing."""
    cases = {}
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, cores, MODULE)) for name in NAMES}
        for case in only or [*LAYERS, *MODELS]:
            agree({name: worker.ask(f"check {CHECKED} {case}") for name, worker in workers.items()})
            for phase in ("forward", "backward") if case in LAYERS else ("step",):
                cases[f"{case} {phase}"] = _case(workers, case, phase, rounds)
        versions = workers["torch"].ask("versions") | workers["tinyae"].ask("versions")
        rate = workers["tinyae"].ask("rate")
    for result in cases.values():
        floor = result["flops"] / rate
        result["distance"] = result["contenders"]["tinyae"]["median"] / floor
    return {"cases": cases, "sgemm_flops_per_second": rate, "versions": versions}


def _case(workers, case, phase, rounds):
    def block(worker):
        time.sleep(PAUSE)
        return worker.ask(f"run {5 if case in MODELS else 3} {case} {phase}")

    values = interleave({name: lambda w=worker: block(w) for name, worker in workers.items()}, rounds)
    values["torch, the better"] = [min(pair) for pair in zip(values["torch"], values[NAMES[2]], strict=True)]
    result = report(values, "tinyae")
    print(table(f"{case} {phase}, ms", result, 1e3), flush=True)
    return result | {"flops": flops(case, phase)}


def flops(case, phase):
    """Floating-point operations of the plain formula, two for each multiply-add."""
    if case in MODELS:
        return model_flops(case)
    return LAYERS[case].flops() * (1 if phase == "forward" else 2)


def show(result):
    rate = result["sgemm_flops_per_second"]
    print(f"{'':34}{'MFLOP':>9}{'distance':>10}   from the plain formula at {rate / 1e9:.0f} GFLOP/s of sgemm")
    for name, case in result["cases"].items():
        print(f"  {name:32}{case['flops'] / 1e6:9,.0f}{case['distance']:10.2f}")
