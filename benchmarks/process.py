"""Cold start: seconds from the start of a fresh process to the end of its first training step, and its memory."""

import time

from .contenders import Worker, available
from .harness import interleave, report, table


def measure(names, rounds=5, cores=None):
    peaks = {}

    def start(name):
        started = time.perf_counter()
        with Worker(name, cores) as worker:
            worker.ask("run 1")
            seconds = time.perf_counter() - started
            peaks[name] = worker.ask("memory")
        return seconds

    values = interleave({name: lambda n=name: start(n) for name in available(names)}, rounds)
    result = report(values, "tinyae")
    for name, peak in peaks.items():
        result["contenders"][name]["peak_bytes"] = peak
    return result


def show(result):
    print(table("start to first step, s", result))
    for name, s in result["contenders"].items():
        print(f"  {name:32}{s['peak_bytes'] / 2**20:9.0f} MiB after one step")
