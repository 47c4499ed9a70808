"""Where a step of a convolutional model spends its time: the clock around every layer's forward and backward.

Where the batch runs in parts on worker threads, a layer's time is the sum over the parts, on whichever thread they ran;
so all layers together may take longer than the step. BatchNorm couples the batch: such a step runs whole.
"""

import itertools
import statistics
import threading
import time

from tinyae.backend import Noise
from tinyae.backend.memory import keep_freed_memory
from tinyae.backend.operations import compile_now
from tinyae.optim import Adam
from tinyae.training.step import Step
from tinyae.training.workers import workers

from .convolution_cases import CASES, LR, leaves, networks, product_flops

PHASES = "forward", "backward"
METHODS = {"forward": "forward", "backward": "backward", "add_grads": "backward", "losses": "backward"}  # a codebook's


def measure(case, rounds=5, threads=None):
    """The result for the JSON: seconds of a step, the median of `rounds` after one to warm up, and of its layers."""
    keep_freed_memory()
    compile_now()  # before anything is measured
    problem = CASES[case]
    model = problem.build()
    watched = [Watched(name, *leaf) for name, network, shape in networks(model) for leaf in leaves(network, shape)]
    watched[0].flops["backward"] //= 2  # the data need no dx
    spent = {"gradients": [], "update": []}
    with workers(threads) as team:
        step = Step(model, Adam(LR), team=team)
        for i in range(rounds + 1):
            x, noise = problem.batch(i)
            times = [time.perf_counter()]
            step.gradients({"x": x}, Noise(0, i, given={"z": noise}))
            times.append(time.perf_counter())
            step.update()
            times.append(time.perf_counter())
            for name, (start, stop) in zip(spent, itertools.pairwise(times), strict=True):
                spent[name].append(stop - start)
            for layer in watched:
                layer.end_round()
    result = {name: statistics.median(values[1:]) for name, values in spent.items()}
    return {"case": case, "parts": len(step.grads)} | result | {"layers": [w.summary(problem.size) for w in watched]}


class Watched:
    """A layer whose forward and backward note their seconds."""

    def __init__(self, network, layer, shape):
        self.label = f"{network} {type(layer).__name__} {'x'.join(map(str, shape))}"
        self.label += f" -> {'x'.join(map(str, layer.output_shape(shape)))}"
        forward = product_flops(layer, shape)
        self.flops = {"forward": forward, "backward": 0 if network == "codebook" else 2 * forward}
        self.now, self.rounds = ({phase: [] for phase in PHASES} for _ in range(2))
        self.inside = threading.local()  # whether this thread is in one of the layer's methods
        for method, phase in METHODS.items():
            if hasattr(layer, method):
                self._watch(layer, method, phase)

    def _watch(self, layer, method, phase):
        original, seconds = getattr(layer, method), self.now[phase]

        def timed(*arguments, **named):
            if getattr(self.inside, "it", False):  # backward may call add_grads, or the other way round
                return original(*arguments, **named)
            self.inside.it = True
            started = time.perf_counter()
            result = original(*arguments, **named)
            seconds.append(time.perf_counter() - started)
            self.inside.it = False
            return result

        setattr(layer, method, timed)

    def end_round(self):
        for phase, seconds in self.now.items():
            self.rounds[phase].append(sum(seconds))
            seconds.clear()

    def summary(self, batch):
        phases = {
            phase: {"seconds": statistics.median(rounds[1:]), "flops": self.flops[phase] * batch}
            for phase, rounds in self.rounds.items()
        }
        return {"layer": self.label} | phases


def show(result):
    whole = result["gradients"] + result["update"]
    print(f"{result['case']}: {1e3 * whole:.1f} ms a step, {1e3 * result['update']:.1f} of them the update", end="")
    print(f"; parts of the batch: {result['parts']}")
    print(f"{'':62}{'forward, ms':>12}{'GFLOP/s':>8}{'backward, ms':>13}{'GFLOP/s':>8}")
    kinds = {}
    for row in result["layers"]:
        print(f"  {row['layer']:60}{cells(row['forward'], 12)}{cells(row['backward'], 13)}")
        kinds.setdefault(row["layer"].split()[1], []).append(row)
    for kind, rows in sorted(kinds.items(), key=lambda item: -sum(total(item[1], phase) for phase in PHASES)):
        print(f"  {'all ' + kind:60}{1e3 * total(rows, 'forward'):12.2f}{1e3 * total(rows, 'backward'):21.2f}")


def cells(phase, width):
    """Milliseconds, and where there are products their rate."""
    rate = f"{phase['flops'] / phase['seconds'] / 1e9:8.0f}" if phase["flops"] else " " * 8
    return f"{1e3 * phase['seconds']:{width}.2f}{rate}"


def total(rows, phase):
    return sum(row[phase]["seconds"] for row in rows)
