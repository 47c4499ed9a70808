"""One contender of `benchmarks.convolution` in a process of its own: `python -m benchmarks.convolution_worker NAME`.

Commands as in `benchmarks.worker`: "check N CASE" the losses of N steps, or sums over a layer's y, dx, dw and db;
"run N CASE PHASE" the seconds of one of N runs; "rate" the operations a second of sgemm; "memory" the peak in bytes;
"versions" what is installed.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time

from .contenders import CONVOLUTION
from .convolution_cases import CASES, LAYERS
from .worker import peak_memory

WARM_UP = 0.05  # seconds, and one run at least


def main(name, commands, answers):
    framework, options = CONVOLUTION[name]
    contender = importlib.import_module(f".convolution_{framework}", __package__).Contender(**options)
    for line in commands:
        command, *words = line.split()
        if command == "check":
            answer = check(contender.case(words[1]), words[1], int(words[0]))
        elif command == "run":
            answer = run(contender.case(words[1]), words[1], words[2], int(words[0]))
        elif command == "rate":
            answer = contender.rate()
        elif command == "memory":
            answer = peak_memory()
        elif command == "versions":
            answer = {package: importlib.metadata.version(package) for package in contender.packages}
        else:
            raise ValueError(f"unknown command {command!r}")
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def check(subject, name, count):
    """Numbers on which all contenders must agree."""
    if name in LAYERS:
        return subject.check()
    return [float(subject.step(*CASES[name].batch(i))) for i in range(count)]


def run(subject, name, phase, count):
    """Seconds of one of `count` runs, after a warm-up: at first the threads of a process may share a core.

    A layer's backward follows an untimed forward.
    """
    data = [CASES[name].batch(i) if phase == "step" else () for i in range(count)]
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
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints must not mix with the answers
    if len(sys.argv) > 2:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])
    main(sys.argv[1], sys.stdin, answers)
