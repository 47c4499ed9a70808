"""One contender in a process of its own, which steps on command: `python -m benchmarks.worker NAME`.

Thread pools spin for a while after they have worked, and in one process they would disturb each other. A command is a
line on standard input, the answer a line of JSON: "check N" the losses of N steps on given noise, "run N" the seconds of
N steps, "memory" the peak in bytes, "versions".
"""

import json
import os
import sys
import time
from pathlib import Path

CHECKED_STEPS = 3


def main(name, commands, answers):
    started = time.perf_counter()
    from . import dense_vae
    from .contenders import make

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
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


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
    os.dup2(2, 1)  # what a framework prints must not mix with the answers
    main(sys.argv[1], sys.stdin, answers)
