"""Who takes part: a training step by name, in a process of its own. This module imports no framework."""

import importlib.util
import json
import subprocess
import sys
import tempfile

OPTIONS = {
    "tinyae": ("tinyae", {}),
    "tinyae-numpy": ("tinyae", {"native": False}),
    "torch": ("torch", {}),
    "torch-fused": ("torch", {"fused": True}),
    "torch-compile": ("torch", {"fused": True, "compiled": True}),
    "jax": ("jax", {}),
}
CONVOLUTION = {  # the convolutional benchmarks'; Adam is always fused
    "tinyae": ("tinyae", {}),
    "tinyae-numpy": ("tinyae", {"native": False}),
    "torch": ("torch", {}),
    "torch-channels-last": ("torch", {"channels_last": True}),
    "torch-compile": ("torch", {"compiled": True}),
    "torch-compile-channels-last": ("torch", {"channels_last": True, "compiled": True}),
    "jax": ("jax", {}),
}


def make(name, data, weights):
    """The contender's step: step(rows, noise=None) -> loss, and step.wait()."""
    framework, options = OPTIONS[name]
    return importlib.import_module(f".step_{framework}", __package__).Step(data, weights, **options)


def available(names, options=OPTIONS):
    """Those of `names` whose framework is installed; a line for each other."""
    found = [name for name in names if importlib.util.find_spec(options[name][0])]
    for name in names:
        if name not in found:
            print(f"skipped {name}: {options[name][0]} is not installed")
    return found


class Worker:
    """A process that runs one contender (by default in `benchmarks.worker`) and answers commands."""

    def __init__(self, name, cores=None, module="benchmarks.worker"):
        self.name = name
        command = [sys.executable, "-m", module, name, *([] if cores is None else [str(cores)])]
        self.messages = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.messages, text=True
        )

    def ask(self, command):
        """The answer to one command; RuntimeError, with the last line it printed, if the process died."""
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            self.messages.seek(0)
            raise RuntimeError(f"{self.name}: {(self.messages.read().strip().splitlines() or ['no message'])[-1]}")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()
        self.messages.close()
