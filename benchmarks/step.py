"""Seconds of a training step, contender by contender, and what arithmetic alone would take."""

import contextlib
import time

from . import dense_vae
from .contenders import Worker, available
from .harness import interleave, report, say, table

PAUSE = 0.05  # seconds between blocks, in which the threads of the last contender stop spinning
CHECKED_STEPS, TOLERANCE = 3, 1e-4


def measure(names, rounds=20, steps=20, cores=None):
    """The result for the JSON. Each round gives each contender one block of `steps` steps, after three to warm up.

    Before any timing the losses of the first steps, on the same weights, batches and noise, must agree.
    """
    with contextlib.ExitStack() as stack:
        workers = {}
        for name in available(names):
            say(f"{name}: starting, and its first losses")
            worker = stack.enter_context(Worker(name, cores))
            try:
                losses = worker.ask(f"check {CHECKED_STEPS}")
            except RuntimeError as error:
                print(f"skipped {error}")
                continue
            workers[name] = worker, losses
        agree({name: losses for name, (_, losses) in workers.items()})
        versions = {}
        for worker, _ in workers.values():
            versions |= worker.ask("versions")
        floor = stack.enter_context(Worker("floor", cores))

        def block(worker, n):
            time.sleep(PAUSE)
            worker.ask("run 3")
            return worker.ask(f"run {n}") / n

        contenders = {name: lambda w=worker: block(w, steps) for name, (worker, _) in workers.items()}
        contenders["matrix products alone"] = lambda: floor.ask(f"run {steps}")
        values = interleave(contenders, rounds)
        memory = {name: worker.ask("memory") for name, (worker, _) in workers.items()}
    result = report(values, "tinyae")
    for name, peak in memory.items():
        result["contenders"][name] |= {
            "images_per_second": dense_vae.BATCH / result["contenders"][name]["median"], "peak_bytes": peak,
        }  # fmt: skip
    seconds = result["contenders"]["matrix products alone"]["median"]
    result |= {"flops": dense_vae.flops(), "sgemm_flops_per_second": dense_vae.flops() / seconds, "versions": versions}
    return result


def agree(losses, tolerance=TOLERANCE):
    """Raise SystemExit unless all contenders have the same losses: nobody does less work, or other work."""
    for name, values in losses.items():
        for ours, theirs in zip(next(iter(losses.values())), values, strict=True):
            if abs(ours - theirs) > tolerance * abs(ours):
                raise SystemExit(f"the losses of {next(iter(losses))} and {name} differ: {losses}")


def show(result):
    print(table("one training step, ms", result, 1e3))
    for name, s in result["contenders"].items():
        if "peak_bytes" in s:
            print(f"  {name:32}{s['images_per_second']:9,.0f} images/s{s['peak_bytes'] / 2**20:9.0f} MiB at the peak")
    rate = result["sgemm_flops_per_second"] / 1e9
    print(f"  {result['flops'] / 1e6:.0f} MFLOP of matrix products a step, at {rate:.0f} GFLOP/s in NumPy's sgemm")
