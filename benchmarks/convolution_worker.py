"""One contender of `benchmarks.convolution` in a process of its own: `python -m benchmarks.convolution_worker NAME`.

Commands as in `benchmarks.worker`: "check N CASE" the losses of N steps, or sums over a layer's y, dx, dw and db;
"run N CASE PHASE" the seconds of one of N runs; "rate" the operations a second of sgemm; "versions" what is installed.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time

from .convolution_cases import LAYERS, batch


def main(name, commands, answers):
    framework, *options = name.split("-", 1)
    contender = importlib.import_module(f".convolution_{framework}", __package__).Contender(*options)
    for line in commands:
        command, *words = line.split()
        if command == "check":
            answer = check(contender.case(words[1]), words[1], int(words[0]))
        elif command == "run":
            answer = run(contender.case(words[1]), words[1], words[2], int(words[0]))
        elif command == "rate":
            answer = contender.rate()
        elif command == "versions":
            answer = {package: importlib.metadata.version(package) for package in contender.packages}
        else:
            raise ValueError(f"unknown command {command!r}")
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def check(case, name, count):
    """Numbers on which all contenders must agree."""
    if name in LAYERS:
        return case.check()
    return [float(case.step(*batch(name, i))) for i in range(count)]


def run(case, name, phase, count):
    """Seconds of one of `count` runs, after one to warm up. A layer's backward follows an untimed forward."""
    seconds, data = 0, None if name in LAYERS else [batch(name, i) for i in range(count + 1)]
    for i in range(count + 1):
        if phase == "backward":
            case.forward()
        started = time.perf_counter()
        case.step(*data[i]) if phase == "step" else getattr(case, phase)()
        seconds += time.perf_counter() - started if i else 0
    return seconds / count


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints must not mix with the answers
    if len(sys.argv) > 2:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])
    main(sys.argv[1], sys.stdin, answers)
