"""Training steps of `pixelcnn`, and images sampled a second, compared with PyTorch with the same weights.

Drawing goes pixel by pixel. `tinyae` computes at each pixel only what no earlier one has; "every pixel anew" is its
whole network for every pixel, which gives the same bits, and so does the usual loop in PyTorch.
"""

import contextlib
import importlib
import time

import numpy as np

from tinyae.models import PixelCNN

from .contenders import Worker, available
from .harness import interleave, report, table
from .serve import serve
from .step import PAUSE, agree

LR = 3e-4
CASES = {  # name: (options, batch)
    "residual 7x7": (dict(input_shape=(7, 7), levels=128), 128),
    "gated 7x7": (dict(input_shape=(7, 7), levels=128, network="gated", width=32, blocks=5), 128),
}
NAMES = "tinyae", "tinyae-anew", "tinyae-numpy", "torch", "torch-compile"
PIXELCNN = {name: (name.partition("-")[0], {}) for name in NAMES}
DRAWN = 64  # images at once
CHECKED, TOLERANCE = 3, 1e-4


def measure(names=NAMES, rounds=5, cores=None, cases=tuple(CASES)):
    """The result for the JSON: {"steps": {case: report}, "drawn": {case: report}}, seconds of a step and of a drawing.

    Losses of the first steps are compared before any timing.
    """
    result = {"steps": {}, "drawn": {}, "images": DRAWN}
    names = tuple(dict.fromkeys(["tinyae", *available(names, PIXELCNN)]))
    for case in cases:
        result["steps"][case], result["drawn"][case] = _case(names, rounds, cores, case.replace(" ", "/"))
    return result


def _case(names, rounds, cores, word):
    """(report of the steps, report of the drawings) of the case that the workers know by a word."""
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, cores, "benchmarks.pixelcnn")) for name in names}
        agree({name: worker.ask(f"check {word}") for name, worker in workers.items()}, TOLERANCE)

        def timed(command, names):
            def block(name):
                time.sleep(PAUSE)
                return workers[name].ask(f"{command} {word}")

            return report(interleave({name: lambda n=name: block(n) for name in names}, rounds), "tinyae")

        return timed("step", [name for name in names if name != "tinyae-anew"]), timed("draw", names)


def show(result):
    for case, measured in result["steps"].items():
        print(table(f"a step of {case}, ms", measured, 1e3))
    for case, measured in result["drawn"].items():
        print(table(f"{result['images']} images of {case}, ms", measured, 1e3))
        for name, s in measured["contenders"].items():
            print(f"  {name:32}{result['images'] / s['median']:9,.0f} images/s")


def batch(case, step):
    """Codes (N, 7, 7) of a step, drawn."""
    options, size = CASES[case]
    return np.random.default_rng((5, step)).integers(0, options["levels"], (size, *options["input_shape"]))


def begin(name):
    """Answers "check CASE", the losses of the first steps, "step CASE" and "draw CASE", the seconds of one."""
    contender, runs = importlib.import_module(f".pixelcnn_{PIXELCNN[name][0]}", __package__).Contender(name), {}

    def answer(command, word):
        case = word.replace("/", " ")
        if case not in runs:
            runs[case] = contender.run(PixelCNN(**CASES[case][0]))
        if command == "check":
            return [float(runs[case].step(batch(case, i))) for i in range(CHECKED)]
        codes = batch(case, CHECKED)
        started = time.perf_counter()
        if command == "step":
            runs[case].step(codes)
        else:
            runs[case].draw(DRAWN)
        return time.perf_counter() - started

    return answer


if __name__ == "__main__":
    serve(begin)
