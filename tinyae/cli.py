"""The command line: `tinyae COMMAND ...`. What the commands do stands in `commands`.

Exit code 0 on success, 1 where a check failed, 2 on bad input (one line on stderr, no traceback), 130 after Ctrl-C.
"""

import argparse
import os
import sys

from . import __version__, commands
from .errors import ConfigError, TinyaeError, suggest


def main(argv=None):
    """Run one command; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold what the terminal cannot show
    try:
        if not argv:
            build_parser().print_help()
            return 0
        if not argv[0].startswith("-") and argv[0] not in COMMANDS:
            raise suggest("command", argv[0], COMMANDS)
        arguments = build_parser().parse_args(argv)
        code = arguments.run(arguments) or 0
        if sys.stdout is not None:  # None where the user closed it
            sys.stdout.flush()  # what goes wrong with it, goes wrong here
        return code
    except BrokenPipeError:
        _flush_or_drop()  # the reader (head, less) has left: nothing to say to it
        return 0
    except KeyboardInterrupt:
        print("tinyae: stopped", file=sys.stderr)
        return 130
    except TinyaeError as error:
        problem = str(error)
    except MemoryError as error:
        problem = f"not enough memory ({error or 'no detail'}): ask for less at a time, or for a smaller model"
    except OSError as error:
        _flush_or_drop()
        problem = f"cannot read or write {error.filename or 'the output'}: {error.strerror or error}"
    print(f"tinyae: {problem}", file=sys.stderr)
    return 2


def _flush_or_drop():
    """Write what is still buffered for stdout; where that fails, drop it, or it would fail once more as Python ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Parser(argparse.ArgumentParser):
    """argparse, with bad input reported like all other bad input: in one line."""

    def error(self, message):
        raise ConfigError(f"{message} (see {self.prog} --help)")


def build_parser():
    parser = Parser(
        prog="tinyae",
        description="Autoencoders from scratch on NumPy and CuPy. First steps: tinyae train vae",
        epilog="'tinyae COMMAND --help' explains a command's options.",
    )
    parser.add_argument("--version", action="version", version=f"tinyae {__version__}")
    add = parser.add_subparsers(metavar="COMMAND", required=True).add_parser
    for name, (function, options) in COMMANDS.items():
        text = function.__doc__
        command = add(name, help=text.partition("\n")[0], description=text)
        options(command)
        command.set_defaults(run=function)
    return parser


def _size(text):
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected pixels as 28 or 28x32 (height x width), got {text!r}")
    height, width = parts * 2 if len(parts) == 1 else parts
    return int(height), int(width)


def _at_least(least):
    """For argparse: whole numbers from `least` on."""

    def read(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return value

    return read


POSITIVE, NATURAL = _at_least(1), _at_least(0)


def _train_options(parser):
    add = parser.add_argument
    add("model", metavar="MODEL", help="a name from 'tinyae models', such as vae")
    own = f"a name from 'tinyae data' or the path of your own data (default {commands.DEFAULT_DATA})"
    add("--data", metavar="DATA", help=own)
    add("--size", type=_size, metavar="HxW", help="resize the images of a folder, e.g. 28 or 32x32")
    add("--epochs", type=POSITIVE, metavar="N", help="passes over the training images (default 20; 100 of small sets)")
    add("--batch-size", type=POSITIVE, metavar="N", help="images per step (default 128)")
    add("--latent-dim", type=POSITIVE, metavar="N", help="dimensions of the code (default: the model's)")
    add("--lr", type=float, metavar="X", help="learning rate (default 0.001)")
    add("--optimizer", metavar="NAME", help="adam, adamw, rmsprop or sgd (default adam)")
    add("--schedule", metavar="NAME", help="of the learning rate: constant, step or cosine (default constant)")
    add("--warmup", type=NATURAL, metavar="STEPS", help="steps of linear rise of the learning rate (default 0)")
    add("--clip-norm", type=float, metavar="X", help="clip the gradient's global norm to X (default: no clipping)")
    add("--validation", type=float, metavar="SHARE", help="share of the training images held out (default 0)")
    add("--seed", type=NATURAL, metavar="N", help="of weights, order and noise (default 0)")
    _add_backend(add)
    add("--threads", type=POSITIVE, metavar="N", help="worker threads on the CPU (default: its cores)")
    add("--out", metavar="DIR", help="folder for checkpoints, metrics and pictures (default runs/MODEL)")
    add("--resume", action="store_true", help="go on with the run in --out, with its own data and settings")
    add("--overwrite", action="store_true", help="replace the run in --out")
    option = "an option of the model, e.g. hidden=512,256; 'tinyae models' lists them; may be repeated"
    add("--set", action="append", default=[], metavar="KEY=VALUE", help=option)
    add("--no-pictures", action="store_true", help="write no pictures")
    _add_json(add)


def _run_options(parser, out_help=None, data=True, seed=False, several=False):
    add, meaning = parser.add_argument, "a run's folder, such as runs/vae, or a checkpoint file"
    if several:
        add("runs", metavar="RUN", nargs="+", help=f"{meaning}; two or more")
    else:
        add("run_path", metavar="RUN", help=meaning)
    if data:
        add("--data", metavar="DATA", help="a data set or path (default: the one the run was trained on)")
        add("--size", type=_size, metavar="HxW", help="resize the images of a folder")
        add("--split", choices=("test", "train"), default="test", help="which part of the data (default test)")
    if seed:
        add("--seed", type=NATURAL, default=0, metavar="N", help="of the noise (default 0)")
    if out_help:
        add("--out", metavar="FILE", help=out_help)
    _add_backend(add)
    return add


def _sample_options(parser):
    out_help = "a .png, or .npy or .npz for arrays (default samples.png beside the run)"
    add = _run_options(parser, out_help, data=False, seed=True)
    add("-n", type=POSITIVE, default=64, metavar="N", help="how many (default 64)")


def _reconstruct_options(parser):
    add = _run_options(parser, "a .png, or .npy or .npz for arrays (default reconstructions.png beside the run)")
    add("-n", type=POSITIVE, default=10, metavar="N", help="how many images to show in a .png (default 10)")


def _encode_options(parser):
    _run_options(parser, "a .npz or .csv file (default codes.npz beside the run)")


def _manifold_options(parser):
    add = _run_options(parser, "a .png picture (default manifold.png beside the run)", data=False)
    add("--side", type=POSITIVE, default=15, metavar="N", help="images per side (default 15)")


def _compare_options(parser):
    out_help = "a .png picture (default comparison.png beside the first run)"
    _add_json(_run_options(parser, out_help, seed=True, several=True))


def _gradcheck_options(parser):
    add = parser.add_argument
    add("name", nargs="?", default="all", metavar="NAME", help="a layer, loss, latent operation or model (default all)")
    add("--seed", type=NATURAL, default=0, metavar="N", help="of points and directions (default 0)")
    _add_json(add)


def _data_options(parser):
    parser.add_argument("action", nargs="?", choices=("list", "fetch"), default="list", help="list (default) or fetch")
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to fetch")
    _add_json(parser.add_argument)


def _add_backend(add):
    add("--backend", default="numpy", metavar="numpy|cupy", help="where to compute: numpy (CPU) or cupy (GPU)")


def _add_json(add):
    add("--json", action="store_true", help="print the answer as JSON")


COMMANDS = {
    "train": (commands.train, _train_options),
    "sample": (commands.sample, _sample_options),
    "reconstruct": (commands.reconstruct, _reconstruct_options),
    "encode": (commands.encode, _encode_options),
    "manifold": (commands.manifold, _manifold_options),
    "evaluate": (commands.evaluate, lambda parser: _add_json(_run_options(parser, seed=True))),
    "compare": (commands.compare, _compare_options),
    "gradcheck": (commands.gradcheck, _gradcheck_options),
    "models": (commands.models, lambda parser: _add_json(parser.add_argument)),
    "data": (commands.data, _data_options),
    "info": (commands.info, lambda parser: _add_json(parser.add_argument)),
}
