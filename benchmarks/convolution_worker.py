"""One contender of `benchmarks.convolution` in a process of its own: `python -m benchmarks.convolution_worker NAME`.

Commands as in `benchmarks.worker`: "check N CASE" what `check` gives;
"run N CASE PHASE" the seconds of one of N runs; "rate" the operations a second of sgemm; "memory" the peak in bytes;
"versions" what is installed.
"""

import importlib
import importlib.metadata
import time

from .contenders import CONVOLUTION
from .convolution_cases import CASES
from .serve import serve
from .worker import peak_memory

WARM_UP = 0.05  # seconds, and one run at least


def begin(name, module="convolution", cases=CASES):
    """The answers of a contender, whose own side of the `cases` is in the modules MODULE_tinyae, MODULE_torch, ..."""
    framework, options = CONVOLUTION[name]
    contender = importlib.import_module(f".{module}_{framework}", __package__).Contender(**options)

    def answer(command, *words):
        if command == "check":
            return check(contender.case(words[1]), cases[words[1]], int(words[0]))
        if command == "run":
            return run(contender.case(words[1]), cases[words[1]], words[2], int(words[0]))
        if command == "rate":
            return contender.rate()
        if command == "memory":
            return peak_memory()
        if command == "versions":
            return {package: importlib.metadata.version(package) for package in contender.packages}
        raise ValueError(f"unknown command {command!r}")

    return answer


def check(subject, case, count):
    """Numbers on which all contenders must agree: a layer's sums over y, dx, dw and db; or, where a model's training
    begins, the loss and the sum of the gradients' norms on each of `count` batches, and the median move of a parameter
    in one step.

    Losses after several steps of Adam are no such numbers: its first steps follow the sign of a gradient however small
    it is. Where the exact gradient is 0 (codes that k-means put in the middle of their vectors, a bias in front of
    BatchNorm), that is the sign of a rounding error.
    """
    return subject.check(*([case.batch(i) for i in range(count)] if "step" in case.phases else ()))


def run(subject, case, phase, count):
    """Seconds of one of `count` runs, after a warm-up: at first the threads of a process may share a core.

    A layer's backward follows an untimed forward.
    """
    data = [case.batch(i) if phase == "step" else () for i in range(count)]
    began, seconds = time.perf_counter(), []
    while len(seconds) < count:
        if phase == "backward":
            subject.forward()
        started = time.perf_counter()
        getattr(subject, phase)(*data[len(seconds)])
        if started - began > WARM_UP:  # never the first
            seconds.append(time.perf_counter() - started)
    return sum(seconds) / count


if __name__ == "__main__":
    serve(begin)
