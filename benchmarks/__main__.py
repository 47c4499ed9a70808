"""`python -m benchmarks step|process|backends|convolution`, each with `--json FILE`."""

import argparse
import json
import sys
from pathlib import Path

from . import machine
from .contenders import OPTIONS


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = parser().parse_args(arguments)
    result = machine.describe(arguments) | {"benchmark": options.benchmark} | options.run(options)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


def parser():
    top = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and memory, beside the peers.")
    commands = top.add_subparsers(dest="benchmark", required=True)
    for name, run, rounds, text in (
        ("step", run_step, 20, "one training step of a dense VAE, beside PyTorch and JAX"),
        ("process", run_process, 5, "a fresh process to its first step, beside PyTorch and JAX"),
        ("backends", run_backends, 10, "every layer and model on NumPy and on CuPy"),
        ("convolution", run_convolution, 7, "convolutions and steps of convolutional models, beside PyTorch"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--rounds", type=int, default=rounds)
        command.add_argument("--json", metavar="FILE", help="write the result, the machine and the versions there")
        if name == "backends":
            command.add_argument("--only", nargs="+", metavar="NAME", help='such as "layer Dense" or "model vae"')
            command.add_argument("--batch", type=int, default=128)
        elif name == "convolution":
            command.add_argument("--only", nargs="+", metavar="CASE", help='such as "conv-vae-28"')
            command.add_argument("--cores", type=int, help="how many of the machine's cores to use (all)")
        else:
            command.add_argument("--contenders", nargs="+", choices=OPTIONS, default=list(OPTIONS), metavar="NAME")
            command.add_argument("--cores", type=int, help="how many of the machine's cores to use (all)")
    return top


def run_step(options):
    from . import step

    result = step.measure(options.contenders, options.rounds, cores=options.cores)
    step.show(result)
    return result


def run_process(options):
    from . import process

    result = process.measure(options.contenders, options.rounds, options.cores)
    process.show(result)
    return result


def run_backends(options):
    from . import backends

    return backends.measure(options.rounds, options.only, options.batch)


def run_convolution(options):
    from . import convolution

    result = convolution.measure(options.rounds, options.only, options.cores)
    convolution.show(result)
    return result


if __name__ == "__main__":
    main()
