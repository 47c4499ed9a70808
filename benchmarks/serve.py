"""A worker's side of `contenders.Worker`: a command a line on standard input, the answer a line of JSON."""

import json
import os
import sys


def serve(begin):
    """Run as `python -m MODULE NAME [CORES]`: begin(NAME) gives answer(command, *words), called for every line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a framework's own output must not mix with the answers
    name, *cores = sys.argv[1:]
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores[0])])
    answer = begin(name)
    for line in sys.stdin:
        answers.write(json.dumps(answer(*line.split())) + "\n")
        answers.flush()
