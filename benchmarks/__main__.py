"""`python -m benchmarks NAME`, with a name that `--help` lists, such as step; each with `--json FILE`."""

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

from tinyae.commands.arguments import NATURAL, POSITIVE
from tinyae.errors import TinyaeError

from . import machine
from .adversaries import CASES as ADVERSARIAL
from .adversaries import NAMES as ADVERSARIES
from .contenders import CONVOLUTION, OPTIONS
from .nearest import NAMES as NEAREST
from .pixelcnn import NAMES as PIXELCNN

PROG = "python -m benchmarks"


class Parser(argparse.ArgumentParser):
    """argparse, with what is wrong in one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments:
        parser().print_help()
        return
    options = vars(parser().parse_args(arguments))
    name, file = options.pop("benchmark"), options.pop("json")
    if file and not os.access(Path(file).parent, os.W_OK):
        parser().error(f"--json {file}: its folder is not there, or may not be written to")  # before a long wait
    module = importlib.import_module(f".{name}", __package__)
    try:
        measured = module.measure(**options)
    except TinyaeError as error:
        parser().error(str(error))
    if hasattr(module, "show"):  # the others print as they go
        module.show(measured)
    result = machine.describe(arguments) | {"benchmark": name} | measured
    if file:
        Path(file).write_text(json.dumps(result, indent=1) + "\n")


def parser():
    """Options go by their names to the `measure` of the benchmark's module."""
    from .convolution_cases import LAYERS, MODELS

    words = "For instance: tinyae bench step --rounds 5 --contenders tinyae torch. Each has a --help of its own."
    description = "Speed and memory, compared with other libraries where they are installed (pip install '.[bench]')."
    top = Parser(prog=PROG, description=description, epilog=words)
    commands = top.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    for name, rounds, peers, text in (
        ("step", 20, OPTIONS, "one training step of a dense VAE, compared with PyTorch and JAX"),
        ("process", 5, OPTIONS, "a fresh process to its first step, compared with PyTorch and JAX"),
        ("backends", 10, None, "every layer and model on NumPy and on CuPy"),
        ("convolution", 7, CONVOLUTION, "convolutions and steps of convolutional models, and PyTorch's and JAX's"),
        ("memory", 3, CONVOLUTION, "peak memory of training a convolutional model, compared with PyTorch and JAX"),
        ("nearest", 20, NEAREST, "the nearest codes of many vectors, compared with PyTorch"),
        ("pixelcnn", 5, PIXELCNN, "steps of pixelcnn and images sampled a second, compared with PyTorch"),
        ("adversaries", 5, ADVERSARIES, "steps of adversaries, all phases, compared with PyTorch"),
        ("profile", 5, None, "where a convolutional model's step spends its time, layer by layer"),
        ("clustering", None, None, "classes found without labels, compared with EM on PCA codes"),
        ("labels", None, None, "classes from a few labels, compared with supervised training on them"),
        ("disentanglement", None, None, "how far codes of dSprites separate its factors, compared with PCA and pixels"),
        ("codes", None, None, "vq-vae and pixelcnn on images, compared with published numbers"),
        ("photographs", None, None, "vq-vae on crops of 128x128 from photographs, judged on other photographs"),
        ("generative", None, None, "autoencoders, adversaries and priors side by side, and their samples judged"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        add = command.add_argument
        if rounds:
            add("--rounds", type=POSITIVE, default=rounds, help=f"of each ({rounds}); a ratio needs two")
        add("--json", metavar="FILE", help="write the result, the machine and the versions there")
        if peers:
            add("--contenders", nargs="+", choices=peers, default=list(peers), metavar="NAME", dest="names")
            add("--cores", type=POSITIVE, help="how many of the machine's cores to use (all)")
        if name == "backends":
            add("--only", nargs="+", metavar="NAME", help='such as "layer Dense" or "model vae"')
            add("--batch", type=POSITIVE, default=128)
        elif name in ("convolution", "adversaries"):
            names = [*LAYERS, *MODELS] if name == "convolution" else [*ADVERSARIAL]
            add("--only", nargs="+", choices=names, metavar="CASE", help=f"some of {' '.join(names)}")
        elif name == "memory":
            add("--case", choices=MODELS, default="vq-vae-128", help="the model (vq-vae-128)")
        elif name == "profile":
            add("case", choices=MODELS, help="the model")
            add("--threads", type=POSITIVE, help="worker threads (default: the cores)")
        elif name == "clustering":
            add("--data", nargs="+", default=["mnist", "fashion-mnist"], metavar="NAME", dest="names")
            add("--seeds", type=POSITIVE, default=2)
            add("--epochs", type=POSITIVE, default=8)
            add("--images", type=POSITIVE, help="how many of the training images (all)")
        elif name == "labels":
            add("--data", default="mnist", help="a name from 'tinyae data', or a path (mnist)")
            add("--labelled", nargs="+", type=POSITIVE, default=[100, 1000], metavar="N", help="labels (100 1000)")
            add("--out", default="runs/labels", metavar="DIR", help="for the trained models")
            add("--epochs", type=POSITIVE, default=20)
            add("--seeds", type=POSITIVE, default=1)
            add("--threads", type=POSITIVE, help="worker threads (default: the cores)")
        elif name == "disentanglement":
            add("--steps", type=POSITIVE, default=6000, help="of 64 images each, none of them seen twice (6000)")
            add("--out", default="runs/disentanglement", metavar="DIR", help="for the trained models")
            add("--threads", type=POSITIVE, help="worker threads (default: the cores)")
            add("--only", nargs="+", metavar="NAME", dest="names", help='such as "VAE" or "raw pixels"')
        elif name == "codes":
            add("--data", default="mnist", help="a name from 'tinyae data', or a path (mnist)")
            add("--out", default="runs/codes", metavar="DIR", help="for the trained models")
            add("--epochs", type=POSITIVE, default=30, help="of vq-vae (30)")
            add("--prior-epochs", type=POSITIVE, default=30, help="of pixelcnn (30)")
            add("--seeds", type=POSITIVE, default=1)
            add("--threads", type=POSITIVE, help="worker threads (default: the cores)")
        elif name == "photographs":
            add("--out", default="runs/photographs", metavar="DIR", help="for the crops, the model and the picture")
            add("--epochs", type=POSITIVE, default=8)
            add("--lr", type=float, default=5e-4, help="at the cosine's begin (0.0005)")
            add("--network", default="residual", help="small, paper or residual (residual)")
            add("--width", type=NATURAL, default=0, help="of the network and its codes (the network's own)")
            add("--codes", type=NATURAL, default=0, help="of a codebook (the network's own)")
            add("--codebooks", type=POSITIVE, default=1, help="each but the first quantising what is left (1)")
            add("--crops", type=POSITIVE, default=240, help="of each training photograph (240)")
            add("--threads", type=POSITIVE, help="worker threads (default: the cores)")
        elif name == "generative":
            add("--data", default="fashion-mnist", help="labelled images (fashion-mnist)")
            add("--out", default="runs/generative", metavar="DIR", help="for the trained models and the picture")
            add("--epochs", type=POSITIVE, default=10, help="of each (10)")
            add("--threads", type=POSITIVE, help="worker threads (default: the cores)")
    return top


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)  # whoever pressed Ctrl-C knows
