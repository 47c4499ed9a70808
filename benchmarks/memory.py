"""Peak memory of training a convolutional model, a fresh process each time."""

from .contenders import CONVOLUTION, Worker, available
from .convolution import MODULE
from .harness import interleave, report, table

STEPS = 3


def measure(names=tuple(CONVOLUTION), rounds=3, cores=None, case="vq-vae-128", steps=STEPS):
    """The result for the JSON: bytes of each contender's largest resident set after `steps` steps and one before them.

    "imported_bytes" is how much of it there was before the model was built: the interpreter and the framework.
    """
    imported = {}

    def peak(name):
        with Worker(name, cores, MODULE) as worker:
            imported[name] = worker.ask("memory")
            worker.ask(f"run {steps} {case} step")
            return worker.ask("memory")

    contenders = {name: lambda n=name: peak(n) for name in available(names, CONVOLUTION)}
    result = report(interleave(contenders, rounds, warmup=0), "tinyae")
    for name, count in imported.items():
        result["contenders"][name]["imported_bytes"] = count
    return result | {"case": case, "steps": steps}


def show(result):
    print(table(f"{result['case']}, MiB", result, 2**-20))
    for name, s in result["contenders"].items():
        print(f"  {name:32}{s['imported_bytes'] / 2**20:9.0f} MiB of them before the model was built")
