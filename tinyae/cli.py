"""The command line `tinyae COMMAND ...`. The package `commands` holds the commands and their options.

Every error is one line on stderr, without a traceback.
"""

import argparse
import contextlib
import os
import sys
import warnings

from . import __version__, startup
from .commands import (
    bench,
    catalogues,
    compare,
    encode,
    evaluate,
    explain,
    gradcheck,
    images,
    neighbours,
    plane,
    styles,
    train,
    walks,
)
from .commands.arguments import print_json
from .commands.own_networks import import_file
from .commands.parser import Parser
from .errors import DivergedError, TinyaeError, suggest
from .terminal import say
from .wording import on_the_command_line

EXIT_CODES = """exit codes:
  0    done
  1    a check failed (gradcheck)
  2    bad input, or files that cannot be read or written
  3    training diverged
  130  stopped by Ctrl-C"""


def main(argv=None):
    """Run one command and return its exit code, one of EXIT_CODES."""
    try:
        startup.over()
        with on_the_command_line(), warnings.catch_warnings():
            warnings.showwarning = lambda message, *where: say(f"tinyae: {message}")
            return _main(argv)
    except KeyboardInterrupt:
        say("tinyae: stopped")
        return 130
    finally:
        for stream in (sys.stdout, sys.stderr):
            _flush_or_drop(stream)


def _main(argv):
    argv = sys.argv[1:] if argv is None else argv
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold characters that the terminal cannot show
    code = 2
    try:
        if not argv:
            build_parser().print_help()
            return 0
        if not argv[0].startswith("-") and argv[0] not in COMMANDS:
            raise suggest("command", argv[0], COMMANDS)
        arguments = build_parser().parse_args(argv)
        if getattr(arguments, "networks", None) is not None:
            import_file(arguments.networks)
        with _threads(getattr(arguments, "threads", None)):
            done = arguments.run(arguments) or 0
        if sys.stdout is not None:  # it is None if the user closed it
            sys.stdout.flush()  # a failing output raises here, where it is reported
        return done
    except BrokenPipeError:
        return 0  # the reader of the pipe (head, less) has closed it
    except DivergedError as error:
        problem, code = str(error), 3
    except TinyaeError as error:
        problem = str(error)
    except MemoryError as error:
        problem = f"not enough memory ({error or 'no detail'}): use smaller batches, fewer images or a smaller model"
    except OSError as error:
        problem = f"cannot read or write {error.filename or 'the output'}: {error.strerror or error}"
    say(f"tinyae: {problem}")
    if _asks_for_json(argv) and argv[0] in COMMANDS.keys() - {"bench"}:  # bench's own --json names a file
        with contextlib.suppress(OSError):  # the line on stderr suffices if stdout cannot be written to
            print_json({"error": problem, "exit_code": code})
            if sys.stdout is not None:
                sys.stdout.flush()
    return code


def _asks_for_json(argv):
    """Whether the words contain --json, in full or in a short form that argparse accepts."""
    return any(len(word) > 2 and "--json".startswith(word) for word in argv)


def _threads(count):
    """A context that limits the CPU threads to --threads, if it is given."""
    if count is None:
        return contextlib.nullcontext()
    from .training.workers import at_most

    return at_most(count)


def _flush_or_drop(stream):
    """Flush a stream; if that fails, discard its buffer, which would otherwise fail again when Python exits."""
    try:
        if stream is not None:
            stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except Exception:
        pass  # the stream is closed already, or is a host program's own object


def build_parser():
    """The argparse parser of all commands, whose help texts are the first lines of their docstrings."""
    parser = Parser(
        prog="tinyae",
        description="Autoencoders from scratch on NumPy and CuPy. First steps: tinyae train vae",
        epilog=f"'tinyae COMMAND --help' explains a command's options.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tinyae {__version__}")
    add = parser.add_subparsers(metavar="COMMAND", required=True).add_parser
    for name, (function, options) in COMMANDS.items():
        text = function.__doc__ or ""  # python -OO removes docstrings
        command = add(name, help=text.partition("\n")[0], description=text)
        options(command)
        command.set_defaults(run=function)
    return parser


COMMANDS = {
    "train": (train.train, train.train_options),
    "sample": (images.sample, images.sample_options),
    "reconstruct": (images.reconstruct, images.reconstruct_options),
    "encode": (encode.encode, encode.encode_options),
    "interpolate": (walks.interpolate, walks.interpolate_options),
    "traverse": (walks.traverse, walks.traverse_options),
    "manifold": (plane.manifold, plane.manifold_options),
    "map": (plane.map_classes, plane.map_options),
    "arithmetic": (walks.arithmetic, walks.arithmetic_options),
    "neighbours": (neighbours.neighbours, neighbours.neighbours_options),
    "transfer": (styles.transfer, styles.transfer_options),
    "evaluate": (evaluate.evaluate, evaluate.evaluate_options),
    "compare": (compare.compare, compare.compare_options),
    "explain": (explain.explain, explain.explain_options),
    "gradcheck": (gradcheck.gradcheck, gradcheck.gradcheck_options),
    "models": (catalogues.models, catalogues.models_options),
    "data": (catalogues.data, catalogues.data_options),
    "info": (catalogues.info, catalogues.info_options),
    "bench": (bench.bench, bench.bench_options),
}
