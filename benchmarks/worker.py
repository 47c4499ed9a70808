"""One contender in a process of its own, which steps on command: `python -m benchmarks.worker NAME [CORES]`.

Thread pools spin for a while after they have worked; in one process they would take the cores from each other. A
command is a line on standard input, the answer a line of JSON: "check N" the losses of N steps on given noise, "run N"
the seconds of N steps, "memory" the peak in bytes, "versions" what is installed. The NAME "floor" runs a step's matrix
products alone.
"""

import importlib.metadata
import json
import os
import statistics
import sys
import time
from pathlib import Path


def main(name, commands, answers):
    from . import dense_vae
    from .contenders import OPTIONS, make

    step, count = make(name, dense_vae.images(), dense_vae.weights()), 0
    for line in commands:
        command, *numbers = line.split()
        n = int(numbers[0]) if numbers else 0
        if command == "check":
            answer = [float(step(dense_vae.rows(i), dense_vae.noise(i))) for i in range(n)]
        elif command == "run":
            batches = [dense_vae.rows(i) for i in range(count, count + n)]
            count += n
            started = time.perf_counter()
            for rows in batches:
                step(rows)
            step.wait()
            answer = time.perf_counter() - started
        elif command == "memory":
            answer = peak_memory()
        elif command == "versions":
            answer = {name: version(name) for name in ("numpy", OPTIONS[name][0])}
        else:
            raise ValueError(f"unknown command {command!r}")
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def floor(commands, answers):
    """Answers "run N": the seconds of a step's matrix products alone, the median of N, on NumPy's BLAS threads."""
    import numpy as np

    from . import dense_vae

    rng = np.random.default_rng(0)
    products = [
        [rng.standard_normal(shape, np.float32) for shape in ((m, k), (k, n))] + [np.empty((m, n), np.float32)]
        for m, k, n in dense_vae.products()
    ]
    for line in commands:
        seconds = []
        for _ in range(int(line.split()[1])):
            started = time.perf_counter()
            for a, b, out in products:
                np.matmul(a, b, out=out)
            seconds.append(time.perf_counter() - started)
        answers.write(json.dumps(statistics.median(seconds)) + "\n")
        answers.flush()


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "source"


def peak_memory():
    """Largest resident set of this process so far, in bytes.

    Linux's own counter, since getrusage also counts the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a framework's own output must not mix with the answers
    if len(sys.argv) > 2:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])
    floor(sys.stdin, answers) if sys.argv[1] == "floor" else main(sys.argv[1], sys.stdin, answers)
