"""The command line: `tinyae COMMAND ...`. Each command is a function of the parsed arguments.

Exit code 0 on success, 1 where a check failed, 2 on bad input (one line on stderr, no traceback), 130 after Ctrl-C.
"""

import argparse
import json
import os
import sys

from . import __version__
from .errors import ConfigError, TinyaeError, suggest

DEFAULT_DATA = "fashion-mini"
SMALL = 10_000  # images; a smaller set is passed over more often by default
# Options of `train` that `fit` takes as they are; None means the run's own value on --resume, else fit's default.
FIT_OPTIONS = (
    "epochs", "batch_size", "lr", "seed", "optimizer", "schedule", "warmup", "clip_norm", "validation",
)  # fmt: skip


def main(argv=None):
    """Run one command; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
            raise suggest("command", argv[0], COMMANDS)
        arguments = build_parser().parse_args(argv)
        return arguments.run(arguments) or 0
    except TinyaeError as error:
        print(f"tinyae: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tinyae: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) has left: nothing to say to it
        return 0


def build_parser():
    parser = argparse.ArgumentParser(
        prog="tinyae",
        description="Autoencoders from scratch on NumPy and CuPy. First steps: tinyae train vae",
        epilog="'tinyae COMMAND --help' explains a command's options.",
    )
    parser.add_argument("--version", action="version", version=f"tinyae {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (function, options) in COMMANDS.items():
        text = function.__doc__
        command = commands.add_parser(name, help=text.partition("\n")[0], description=text)
        options(command)
        command.set_defaults(run=function)
    return parser


# train


def _train_options(add):
    add = add.add_argument
    add("model", metavar="MODEL", help="a name from 'tinyae models', such as vae")
    add("--data", help=f"a name from 'tinyae data' or the path of your own data (default {DEFAULT_DATA})")
    add("--size", type=_size, metavar="HxW", help="resize the images of a folder, e.g. 28 or 32x32")
    add("--epochs", type=int, help="passes over the training images (default 20, of small sets 100)")
    add("--batch-size", type=int, help="images per step (default 128)")
    add("--latent-dim", type=int, help="dimensions of the code (default: the model's)")
    add("--lr", type=float, help="learning rate (default 0.001)")
    add("--optimizer", help="adam, adamw, rmsprop or sgd (default adam)")
    add("--schedule", help="of the learning rate: constant, step or cosine (default constant)")
    add("--warmup", type=int, metavar="STEPS", help="steps of linear rise of the learning rate (default 0)")
    add("--clip-norm", type=float, metavar="X", help="clip the gradient's global norm to X (default: no clipping)")
    add("--validation", type=float, metavar="SHARE", help="share of the training images held out (default 0)")
    add("--seed", type=int, help="of weights, order and noise (default 0)")
    _add_backend(add)
    add("--threads", type=int, metavar="N", help="worker threads on the CPU (default: the cores); changes no result")
    add("--out", metavar="DIR", help="folder for checkpoints, metrics and pictures (default runs/MODEL)")
    add("--resume", action="store_true", help="go on with the run in --out, with its own settings")
    add("--overwrite", action="store_true", help="replace the run in --out")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the model, e.g. hidden=512,256")
    add("--no-pictures", action="store_true", help="write no pictures")
    _add_json(add)


def train(arguments):
    """Train a model on images and leave checkpoints, metrics and pictures in a folder."""
    from .data import load as load_data
    from .training import fit
    from .training.pictures import Pictures
    from .training.run import Run

    model_class = _model_class(arguments.model)
    out = arguments.out or f"runs/{arguments.model}"
    given = {name: getattr(arguments, name) for name in FIT_OPTIONS if getattr(arguments, name) is not None}
    options = _model_options(model_class, arguments)
    before = Run(out, resume=True).newest(lambda text: None) if arguments.resume else None
    origin = {"data": arguments.data or DEFAULT_DATA, "size": arguments.size}
    if before is not None:
        options = _merge(f"the run in {out}", dict(before.meta["config"]), options)
        settings = {name: value for name, value in before.training["settings"].items() if name in FIT_OPTIONS}
        given = settings | {"epochs": before.training["epochs"]} | given
        if arguments.data is None:
            origin = before.training["origin"] or origin
    data = load_data(origin["data"], origin["size"])
    options.setdefault("input_shape", data.shape)
    seed = given.get("seed", 0)
    model = model_class(**options, seed=seed, backend=arguments.backend)
    print(f"{model.name}: {model.param_count:,} parameters; {data.name}: {len(data.train):,} images", file=sys.stderr)

    pictures = None if arguments.no_pictures else Pictures(out, data)
    history = fit(
        model, data, **{"epochs": 20 if len(data.train) > SMALL else 100} | given, out=out, resume=arguments.resume,
        overwrite=arguments.overwrite, threads=arguments.threads, on_epoch=pictures and pictures.from_time_to_time,
    )  # fmt: skip
    written = pictures.write(model, history.records) if pictures else []
    last = history.records[-1] if history.records else {}
    answer = {"out": out, "steps": history.steps, "interrupted": history.interrupted, "last": last, "pictures": written}
    if arguments.json:
        print(json.dumps(answer))
    elif history.interrupted:
        print(f"stopped after {history.steps} steps; go on with: tinyae train {arguments.model} --out {out} --resume")
    else:
        print(f"done: {history.steps} steps; checkpoints and {len(written)} pictures in {out}")
        print(f"next: tinyae evaluate {out}   or   tinyae sample {out}" if model.generative else
              f"next: tinyae evaluate {out}   or   tinyae reconstruct {out}")  # fmt: skip
    return 130 if history.interrupted else 0


def _model_class(name):
    from .models import NAMES

    if name not in NAMES:
        raise suggest("model", name, NAMES)
    return NAMES[name]


def _model_options(model_class, arguments):
    """The model's options that the command line gives, from --latent-dim and --set."""
    import inspect

    known = [n for n in inspect.signature(model_class).parameters if n not in ("seed", "backend", "dtype")]
    options = {} if arguments.latent_dim is None else {"latent_dim": arguments.latent_dim}
    for text in arguments.set:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"--set {text}: expected KEY=VALUE, e.g. hidden=512,256")
        if key not in known:
            raise suggest(f"option of {model_class.name}", key, known)
        options[key] = _value(value)
    return options


def _value(text):
    """A number, true or false, a comma-separated tuple of them, or the text itself."""
    if "," in text:
        return tuple(_value(part) for part in text.split(",") if part)
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _merge(whose, before, now):
    from .training.checkpoint import json_ready

    for name, value in json_ready(now).items():
        same = before.get(name) == value or before.get(name) == [value]
        if not same:
            raise ConfigError(f"{whose} has {name}={before.get(name)!r}, not {value!r}: leave it out, or choose --out")
    return before


def _size(text):
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected pixels as 28 or 28x32 (height x width), got {text!r}")
    height, width = parts * 2 if len(parts) == 1 else parts
    return int(height), int(width)


# commands on a trained run


def _run_options(add, out_help, data=True):
    add = add.add_argument
    add("run_path", metavar="RUN", help="a run's folder, such as runs/vae, or a checkpoint file")
    if data:
        add("--data", help="a data set or path (default: the one the run was trained on)")
        add("--size", type=_size, metavar="HxW", help="resize the images of a folder")
        add("--split", choices=("test", "train"), default="test", help="which part of the data (default test)")
    add("--seed", type=int, default=0, help="of the noise (default 0)")
    if out_help:
        add("--out", metavar="FILE", help=out_help)
    _add_backend(add)
    return add


def sample(arguments):
    """Draw new images from the model's prior."""
    model, _ = _load(arguments)
    if arguments.n < 1:
        raise ConfigError(f"-n must be at least 1, got {arguments.n}")
    images = model.sample(arguments.n, seed=arguments.seed)
    out = arguments.out or _beside(arguments.run_path, "samples.png")
    if out.endswith((".npy", ".npz")):
        _save_arrays(out, {"x": images})
    else:
        from . import plot

        plot.samples(out, images)
    print(out)


def reconstruct(arguments):
    """Encode and decode images, and show them beside their reconstructions."""
    model, origin = _load(arguments)
    part, _ = _part(arguments, origin)
    out = arguments.out or _beside(arguments.run_path, "reconstructions.png")
    if out.endswith((".npy", ".npz")):
        _save_arrays(out, {"x": model.reconstruct(part.x)})
    else:
        from . import plot

        x = part.x[: arguments.n]
        plot.reconstructions(out, x, model.reconstruct(x))
    print(out)


def encode(arguments):
    """Write the codes of images, and their labels, to .npz or .csv."""
    model, origin = _load(arguments)
    part, _ = _part(arguments, origin)
    out = arguments.out or _beside(arguments.run_path, "codes.npz")
    if not out.endswith((".npz", ".csv")):
        raise ConfigError(f"--out {out}: codes are written as .npz or .csv")
    codes = model.encode(part.x)
    labels = {} if part.labels is None else {"labels": part.labels}
    if out.endswith(".npz"):
        _save_arrays(out, {"codes": codes} | labels)
    else:
        header = [f"z{i + 1}" for i in range(codes.shape[1])] + list(labels)
        rows = (list(map(repr, code.tolist())) for code in codes)
        if labels:
            rows = ([*row, str(label)] for row, label in zip(rows, part.labels, strict=True))
        _write(out, "\n".join(",".join(row) for row in [header, *rows]) + "\n")
    print(out)


def manifold(arguments):
    """Picture what a two-dimensional code decodes to, at the normal quantiles."""
    from . import plot

    model, _ = _load(arguments)
    out = arguments.out or _beside(arguments.run_path, "manifold.png")
    plot.manifold(out, model, side=arguments.side)
    print(out)


def evaluate(arguments):
    """Report the loss and its terms on held-out images."""
    from .training.feed import Feed, as_split
    from .training.loop import evaluate as evaluate_terms

    model, origin = _load(arguments)
    part, name = _part(arguments, origin)
    feed = Feed(*as_split(part), model.backend, 1, arguments.seed)
    terms = evaluate_terms(model, feed, arguments.seed)
    answer = {"model": model.name, "data": name, "split": arguments.split, "images": feed.count, "unit": "nats"} | terms
    if model.generative:
        answer["elbo"] = -terms["loss"]
    if arguments.json:
        print(json.dumps(answer))
        return
    print(f"{model.name} on {name}, {arguments.split} part, {feed.count:,} images; means per image")
    for label in [*terms, "elbo"] if model.generative else terms:
        print(f"  {label:<16}{answer[label]:12.4f} nats")


def _load(arguments):
    """(model, origin of its training data or None)."""
    from .training.checkpoint import find, load, read

    path = find(arguments.run_path)
    training = read(path).training or {}
    return load(path, backend=arguments.backend), training.get("origin")


def _part(arguments, origin):
    """(Split, the data's name) that the command is about."""
    from .data import load

    if arguments.data is not None:
        origin = {"data": arguments.data, "size": arguments.size}
    elif origin is None:
        raise ConfigError("this model does not say what data it was trained on: give --data")
    data = load(origin["data"], origin["size"])
    part = data.test if arguments.split == "test" else data.train
    if part is None:
        raise ConfigError(f"{data.name} has no test part: use --split train")
    return part, data.name


def _beside(run_path, name):
    folder = run_path if os.path.isdir(run_path) else os.path.dirname(run_path)
    return os.path.join(folder, name)


def _save_arrays(path, arrays):
    import numpy as np

    from .training.checkpoint import replace_whole

    if path.endswith(".npy"):
        replace_whole(path, lambda file: np.save(file, arrays["x"]))
    else:
        replace_whole(path, lambda file: np.savez(file, **arrays))


def _write(path, text):
    from .training.checkpoint import replace_whole

    replace_whole(path, lambda file: file.write(text.encode()))


# commands without a run


def gradcheck(arguments):
    """Check gradients against central differences in float64; fails if one is off by more than 1e-6."""
    from .gradcheck import check_by_name, names

    known = names()
    wanted = list(known) if arguments.name == "all" else [arguments.name]
    rows, failed = [], False
    if not arguments.json:
        print(f"{'kind':<10}{'name':<28}{'worst relative error':>21}{'checks':>8}  verdict")
    for name in wanted:
        reports = list(check_by_name(name, seed=arguments.seed))
        worst = max(reports, key=lambda report: (not report.passed, report.max_relative_error))
        passed = all(report.passed for report in reports)
        failed |= not passed
        row = {
            "name": name, "kind": known[name], "max_relative_error": worst.max_relative_error,
            "checks": sum(report.checks for report in reports), "passed": passed, "where": worst.where,
        }  # fmt: skip
        rows.append(row)
        if not arguments.json:
            verdict = "passed" if passed else f"FAILED: {worst.name}, {worst.where}"
            error, checks = row["max_relative_error"], row["checks"]
            print(f"{row['kind']:<10}{name:<28}{error:>21.2e}{checks:>8}  {verdict}", flush=True)
    if arguments.json:
        print(json.dumps(rows))
    return 1 if failed else 0


def models(arguments):
    """List the models, their parameter counts at 28x28 and what they are."""
    from .models import NAMES

    rows = []
    for name, model_class in NAMES.items():
        summary = sys.modules[model_class.__module__].__doc__.partition("\n")[0]
        rows.append({"name": name, "params": model_class().param_count, "summary": summary})
    if arguments.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(f"{row['name']:<18}{row['params']:>12,}  {row['summary']}")


def data(arguments):
    """List the data sets, or fetch one: 'tinyae data fetch mnist'."""
    from . import data as sets

    if arguments.action == "fetch":
        if arguments.name is None:
            raise ConfigError("tinyae data fetch needs a name, e.g. tinyae data fetch mnist")
        print(sets.fetch(arguments.name, progress=_download_progress()))
        return
    rows = sets.catalogue()
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        where = row["where"] if row["available"] else f"not here: tinyae data fetch {row['name']}"
        print(f"{row['name']:<15}{row['description']}\n{'':<15}{row['licence']}; {where}")


def _download_progress():
    """A function of (file, bytes done, bytes in all) that draws a bar, where tqdm and a terminal are there."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    bars = {}

    def show(name, done, total):
        if name not in bars:
            bars[name] = tqdm(desc=name, total=total, unit="B", unit_scale=True, file=sys.stderr)
        bars[name].update(done - bars[name].n)

    return show


def info(arguments):
    """Say what this machine and installation have: versions, threads, backends, extras."""
    from .info import facts

    answer = facts()
    if arguments.json:
        print(json.dumps(answer))
    else:
        for name, value in answer.items():
            print(f"{name:<12}{value}")


def _add_backend(add):
    add("--backend", default="numpy", metavar="numpy|cupy", help="where to compute: numpy (CPU) or cupy (GPU)")


def _add_json(add):
    add("--json", action="store_true", help="print the answer as JSON")


def _sample_options(parser):
    add = _run_options(parser, "a .png, or .npy or .npz for arrays (default samples.png beside the run)", False)
    add("-n", type=int, default=64, help="how many (default 64)")


def _reconstruct_options(parser):
    add = _run_options(parser, "a .png, or .npy or .npz for arrays (default reconstructions.png beside the run)")
    add("-n", type=int, default=10, help="how many images to show (default 10)")


def _manifold_options(parser):
    add = _run_options(parser, "a .png picture (default manifold.png beside the run)", data=False)
    add("--side", type=int, default=15, help="images per side (default 15)")


def _gradcheck_options(parser):
    add = parser.add_argument
    add("name", nargs="?", default="all", metavar="NAME", help="a layer, loss, latent operation or model (default all)")
    parser.add_argument("--seed", type=int, default=0, help="of points and directions (default 0)")
    _add_json(parser.add_argument)


def _data_options(parser):
    parser.add_argument("action", nargs="?", choices=("list", "fetch"), default="list", help="list (default) or fetch")
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to fetch")
    _add_json(parser.add_argument)


COMMANDS = {
    "train": (train, _train_options),
    "sample": (sample, _sample_options),
    "reconstruct": (reconstruct, _reconstruct_options),
    "encode": (encode, lambda parser: _run_options(parser, "a .npz or .csv file (default codes.npz beside the run)")),
    "manifold": (manifold, _manifold_options),
    "evaluate": (evaluate, lambda parser: _add_json(_run_options(parser, None))),
    "gradcheck": (gradcheck, _gradcheck_options),
    "models": (models, lambda parser: _add_json(parser.add_argument)),
    "data": (data, _data_options),
    "info": (info, lambda parser: _add_json(parser.add_argument)),
}
