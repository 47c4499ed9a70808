"""The commands of the command line: functions of the parsed arguments that return an exit code, None for 0."""

import inspect
import json
import math
import os
import shlex
import shutil
import sys

from .errors import CheckpointError, ConfigError, DataError, suggest

DEFAULT_DATA = "fashion-mini"
SMALL = 10_000  # images; a smaller set is passed over more often by default
# Options of `train` that `fit` takes as they are; None means the run's own value on --resume, else fit's default.
FIT_OPTIONS = (
    "epochs", "batch_size", "lr", "seed", "optimizer", "schedule", "warmup", "clip_norm", "validation",
)  # fmt: skip


# train


def train(arguments):
    """Train a model on images and leave checkpoints, metrics and pictures in a folder."""
    from .data import load as load_data
    from .training import fit
    from .training.pictures import Pictures
    from .training.run import Run

    model_class = _model_class(arguments.model)
    out = os.path.join("runs", arguments.model) if arguments.out is None else arguments.out
    given = {name: getattr(arguments, name) for name in FIT_OPTIONS if getattr(arguments, name) is not None}
    options, origin, opening = _model_options(model_class, arguments), None, []
    before = Run(out).newest() if arguments.resume else None
    if before is not None:
        options, given, origin = _as_before(before, out, model_class, options, given)
    elif arguments.resume:
        opening.append(f"nothing to resume in {out}: a new run begins")
    data = load_data(*_origin(arguments, origin or {"data": DEFAULT_DATA, "size": arguments.size}))
    options.setdefault("input_shape", data.shape)
    model = model_class(**options, seed=given.get("seed", 0), backend=arguments.backend)
    opening.append(f"{model.name}: {model.param_count:,} parameters; {data.name}: {len(data.train):,} images")

    pictures = None if arguments.no_pictures else Pictures(out, data)
    try:
        history = fit(
            model, data, **{"epochs": 20 if len(data.train) > SMALL else 100} | given, out=out,
            resume=arguments.resume, overwrite=arguments.overwrite, threads=arguments.threads,
            progress="\n".join(opening), on_epoch=pictures and pictures.from_time_to_time,
        )  # fmt: skip
        written = pictures.write(model, history.records) if pictures else []
    except KeyboardInterrupt:
        print(f"tinyae: stopped at once; {_how_to_go_on(arguments, out)}", file=sys.stderr)
        return 130
    last = history.records[-1] if history.records else {}
    if arguments.json:
        _print_json({
            "out": out, "steps": history.steps, "interrupted": history.interrupted, "last": last, "pictures": written,
        })  # fmt: skip
    elif history.interrupted:
        print(f"stopped after {history.steps} steps; {_how_to_go_on(arguments, out)}")
    else:
        print(f"done: {history.steps} steps; checkpoints and {len(written)} pictures in {out}")
        show = "sample" if model.generative else "reconstruct"
        print("next:", "   or   ".join(_command_line(command, out) for command in ("evaluate", show)))
    return 130 if history.interrupted else 0


def _as_before(before, out, model_class, options, given):
    """(the model's options, fit's options, origin of the data) of the Checkpoint `before`, where not given anew."""
    if before.meta["model"] != model_class.name:
        name = before.meta["model"]
        raise ConfigError(f"{out} holds a run of {name}, not of {model_class.name}: resume {name}, or choose --out")
    training = before.training or {"settings": {}, "origin": None}  # without: `fit` says that it cannot be resumed
    settings = {name: value for name, value in training["settings"].items() if name in FIT_OPTIONS}
    if "epochs" in training:
        settings["epochs"] = training["epochs"]
    options = _merge(f"the run in {out}", dict(before.meta["config"]), options) | {"dtype": before.meta["dtype"]}
    return options, settings | given, training["origin"]


def _how_to_go_on(arguments, out):
    from .training.run import Run

    if not Run(out).used:
        return "nothing was saved yet"
    options = [] if arguments.backend == "numpy" else ["--backend", arguments.backend]
    return f"go on with: {_command_line('train', arguments.model, '--out', out, '--resume', *options)}"


def _command_line(*words):
    """A command as the user would type it, with the program as this user calls it."""
    called = sys.argv[0]
    if os.path.basename(called) == "__main__.py":
        program = "python -m tinyae"
    else:
        program = "tinyae" if shutil.which("tinyae") == called else shlex.quote(called)
    return f"{program} {shlex.join(words)}"


def _model_class(name):
    from .models import NAMES

    if name not in NAMES:
        raise suggest("model", name, NAMES)
    return NAMES[name]


def _model_options(model_class, arguments):
    """The model's options that the command line gives, from --latent-dim and --set."""
    defaults = _defaults(model_class)
    texts = [] if arguments.latent_dim is None else [f"latent_dim={arguments.latent_dim}"]
    options = {}
    for text in texts + arguments.set:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"--set {text}: expected KEY=VALUE, e.g. hidden=512,256")
        if key not in defaults:
            raise suggest(f"option of {model_class.name}", key, defaults)
        options[key] = _value(key, value, defaults[key])
    return options


def _defaults(model_class):
    """{name: default} of the options for --set; the other arguments of a model come from elsewhere."""
    elsewhere = ("input_shape", "seed", "backend", "dtype")
    parameters = inspect.signature(model_class).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name not in elsewhere}


def _value(option, text, default):
    """`text` read as what the default is: a whole number, a number, true or false, several by commas, or text."""
    if isinstance(default, (tuple, list)):
        return tuple(_value(option, part, default[0] if default else 0) for part in text.split(",") if part)
    wanted, read = READERS.get(type(default), READERS[str])
    try:
        return read(text)
    except (ValueError, KeyError):
        raise ConfigError(f"{option}: expected {wanted}, got {text!r}") from None


def _finite(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


READERS = {
    bool: ("true or false", {"true": True, "false": False}.__getitem__),
    int: ("a whole number", int),
    float: ("a number", _finite),
    str: ("a name", str),
}


def _merge(whose, before, now):
    from .training.checkpoint import json_ready

    for name, value in json_ready(now).items():
        if before.get(name) != value:
            raise ConfigError(f"{whose} has {name}={before.get(name)!r}, not {value!r}: leave it out, or choose --out")
    return before


# commands on a trained run


def sample(arguments):
    """Draw new images from the model's prior."""
    out, kind = _out(arguments, "samples.png", (".png", ".npy", ".npz"))
    model, _ = _load(arguments)
    images = model.sample(arguments.n, seed=arguments.seed)
    if kind == ".png":
        from . import plot

        plot.samples(out, images)
    else:
        _save_arrays(out, {"x": images})
    print(out)


def reconstruct(arguments):
    """Encode and decode images, and show them beside their reconstructions."""
    out, kind = _out(arguments, "reconstructions.png", (".png", ".npy", ".npz"))
    model, origin = _load(arguments)
    part, _ = _part(arguments, origin)
    if kind == ".png":
        from . import plot

        x = part.x[: arguments.n]
        plot.reconstructions(out, x, model.reconstruct(x))
    else:
        _save_arrays(out, {"x": model.reconstruct(part.x)})
    print(out)


def encode(arguments):
    """Write the codes of images, and their labels, to .npz or .csv."""
    out, kind = _out(arguments, "codes.npz", (".npz", ".csv"))
    model, origin = _load(arguments)
    part, _ = _part(arguments, origin)
    codes = model.encode(part.x)
    labels = {} if part.labels is None else {"labels": part.labels}
    if kind == ".npz":
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

    out, _ = _out(arguments, "manifold.png", (".png",))
    model, _ = _load(arguments)
    plot.manifold(out, model, side=arguments.side)
    print(out)


def evaluate(arguments):
    """Report the loss and its terms on held-out images."""
    from .training.feed import Feed, as_split, check_range
    from .training.loop import evaluate as evaluate_terms

    model, origin = _load(arguments)
    part, name = _part(arguments, origin)
    model.prepare({"x": part.x[:1]})  # a wrong shape is said first
    check_range(model, part.x)
    feed = Feed(*as_split(part), model.backend, 1, arguments.seed)
    terms = evaluate_terms(model, feed, arguments.seed)
    about = {"model": model.name, "data": name, "split": arguments.split, "images": feed.count, "unit": model.unit}
    answer = about | terms
    if model.generative:
        answer["elbo"] = -terms["loss"]
    if arguments.json:
        _print_json(answer)
        return
    print(f"{model.name} on {name}, {arguments.split} part, {feed.count:,} images; {model.unit}, means per image")
    for label in [*terms, "elbo"] if model.generative else terms:
        print(f"  {label:<16}{answer[label]:12.4f}")


def compare(arguments):
    """Show trained models side by side: reconstructions, interpolations, images from random codes."""
    from . import compare as side_by_side

    runs = []
    for path in arguments.runs:
        arguments.run_path = path
        model, origin = _load(arguments)
        runs.append((f"{model.name} ({os.path.basename(os.path.normpath(path))})", model))
    arguments.run_path = arguments.runs[0]
    out, _ = _out(arguments, "comparison.png", (".png",))
    part, name = _part(arguments, origin)
    figures, rows = side_by_side.compare(runs, part.x, arguments.seed)
    side_by_side.draw(out, rows)
    if arguments.json:
        _print_json({"data": name, "split": arguments.split, "picture": out, "runs": figures})
        return
    print(f"{'':<32}{'rms':>8}{'sharpness':>12}{'random rms':>12}   on {name}, {len(part):,} images")
    for row in figures:
        print(f"{row['run']:<32}{row['rms']:>8.4f}{row['sharpness']:>12.3f}{row['random_rms']:>12.4f}")
    print(out)


def _load(arguments):
    """(model, origin of its training data or None)."""
    from .training.checkpoint import find, read

    if not os.path.exists(arguments.run_path):
        raise CheckpointError(f"no run {arguments.run_path}: give the folder that tinyae train wrote, or a file in it")
    found = read(find(arguments.run_path))
    return found.model(arguments.backend), (found.training or {}).get("origin")


def _origin(arguments, known):
    """(name or path, size) to load: what --data and --size say, else what is known."""
    if arguments.data is not None:
        return arguments.data, arguments.size
    return known["data"], known["size"] if arguments.size is None else arguments.size


def _part(arguments, origin):
    """(Split, the data's name) that the command is about."""
    from .data import load

    if arguments.data is None and origin is None:
        raise ConfigError("this model does not say what data it was trained on: give --data")
    try:
        data = load(*_origin(arguments, origin))
    except DataError as error:
        hint = "" if arguments.data is not None else " (the run was trained on it; give other data with --data)"
        raise DataError(f"{error}{hint}") from None
    part = data.test if arguments.split == "test" else data.train
    if part is None:
        raise ConfigError(f"{data.name} has no test part: use --split train")
    return part, data.name


def _out(arguments, name, kinds):
    """(path to write to, its ending): --out, or `name` beside the run."""
    path, folder = arguments.out, arguments.run_path
    if path is None:
        path = os.path.join(folder if os.path.isdir(folder) else os.path.dirname(folder), name)
    kind = os.path.splitext(path)[1].lower()
    if kind not in kinds:
        raise ConfigError(f"--out {path}: expected a file name that ends in {' or '.join(kinds)}")
    if os.path.isdir(path):
        raise ConfigError(f"--out {path} is a folder: give the name of a file")
    return path, kind


def _save_arrays(path, arrays):
    import numpy as np

    if path.lower().endswith(".npy"):
        _replace(path, lambda file: np.save(file, arrays["x"]))
    else:
        _replace(path, lambda file: np.savez(file, **arrays))


def _write(path, text):
    _replace(path, lambda file: file.write(text.encode()))


def _replace(path, fill):
    from .training.checkpoint import replace_whole

    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    replace_whole(path, fill)


# commands without a run


def gradcheck(arguments):
    """Check gradients against central differences in float64; fails if one is off by more than 1e-6."""
    from .gradcheck import check_by_name, names

    known = names()
    if arguments.name not in ("all", *known):
        raise suggest("layer, function or model", arguments.name, ("all", *known))
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
        _print_json(rows)
    return 1 if failed else 0


def models(arguments):
    """List the models: what they are, their parameter counts at 28x28, and their options for --set."""
    from .models import NAMES

    rows = []
    for name, model_class in NAMES.items():
        summary = sys.modules[model_class.__module__].__doc__.partition("\n")[0]
        count = model_class().param_count
        rows.append({"name": name, "params": count, "summary": summary, "options": _defaults(model_class)})
    if arguments.json:
        _print_json(rows)
        return
    for row in rows:
        print(f"{row['name']:<18}{row['params']:>12,}  {row['summary']}")
        print(f"{'':<32}options: {', '.join(f'{key}={_text(value)}' for key, value in row['options'].items())}")


def _text(value):
    """An option's value as --set takes it."""
    return ",".join(map(_text, value)) if isinstance(value, tuple) else str(value)


def data(arguments):
    """List the data sets, or fetch one: 'tinyae data fetch mnist'."""
    from . import data as sets

    if arguments.action == "fetch":
        if arguments.name is None:
            raise ConfigError("tinyae data fetch needs a name, e.g. tinyae data fetch mnist")
        where = sets.fetch(arguments.name, progress=_download_progress())
        if arguments.json:
            _print_json({"name": arguments.name, "where": where})
        else:
            print(where)
        return
    if arguments.name is not None:
        raise ConfigError(f"tinyae data list takes no name: tinyae train MODEL --data {arguments.name} loads it")
    rows = sets.catalogue()
    if arguments.json:
        _print_json(rows)
        return
    for row in rows:
        shape = "x".join(map(str, row["shape"]))
        where = row["where"] if row["available"] else f"not here: tinyae data fetch {row['name']}"
        print(f"{row['name']:<15}{row['description']}; {row['train']:,} + {row['test']:,} images of {shape}")
        print(f"{'':<15}{row['licence']}; {where}")


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
        _print_json(answer)
    else:
        for name, value in answer.items():
            print(f"{name:<15}{value}")


def _print_json(answer):
    """One line of JSON; NaN and infinity, which JSON does not know, become null."""
    print(json.dumps(json.loads(json.dumps(answer), parse_constant=lambda name: None)))
