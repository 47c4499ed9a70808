"""`tinyae train` starts a run or resumes one, and prints the command to go on with."""

import os
import shlex
import shutil
import sys

from ..errors import CheckpointError, ConfigError, MissingExtraError
from ..options import shown
from ..terminal import printable, say
from ..wording import counted, example
from .arguments import CALLED, NATURAL, POSITIVE, add_backend, add_data, add_json, add_loading, print_json, print_line
from .model_options import as_text, find_model, given_options
from .trained import given_or_known

DEFAULT_DATA = "fashion-mini"
SMALL = 10_000  # a data set with at most this many images is trained for more epochs by default
# Options that `train` passes on to `fit`. None means the run's own value with --resume, else the default of `fit`.
FIT_OPTIONS = (
    "epochs", "batch_size", "lr", "seed", "optimizer", "epsilon", "schedule", "warmup", "clip_norm", "validation",
    "standardize", "binarize", "without_class",
)  # fmt: skip


def train_options(parser):
    add, source = parser.add_argument, ", or as --set source=NAME has it"
    add("model", metavar="MODEL", help="a name from 'tinyae models', such as vae")
    add_data(add, f"a name from 'tinyae data' or the path of your own data (default {DEFAULT_DATA})")
    add("--codes", metavar="RUN", help="for pixelcnn: train on the codes of the images, encoded by this run's vq-vae")
    add_loading(add)
    epochs = f"passes over the training images (default 20; 100 for up to {SMALL:,} images)"
    add("--epochs", type=POSITIVE, metavar="N", help=epochs)
    add("--batch-size", type=POSITIVE, metavar="N", help=f"images per step (default 128{source})")
    add("--latent-dim", type=POSITIVE, metavar="N", help="dimensions of the code (default: the model's)")
    add("--lr", type=float, metavar="X", help=f"learning rate (default 0.001{source})")
    add("--optimizer", metavar="NAME", help=f"adam, adamw, keras-adam, rmsprop or sgd (default adam{source})")
    add("--epsilon", type=float, metavar="X", help="epsilon of the optimizer (default 1e-8; keras-adam: 1e-7)")
    add("--schedule", metavar="NAME", help="learning rate schedule: constant, step or cosine (default constant)")
    add("--warmup", type=NATURAL, metavar="STEPS", help="steps in which the learning rate rises from 0 (default 0)")
    add("--clip-norm", type=float, metavar="X", help="clip the gradient's global norm to X (default: no clipping)")
    add("--validation", type=float, metavar="SHARE", help="share of the training images held out (default 0)")
    add("--standardize", action="store_const", const=True, help="scale table columns to mean 0, standard deviation 1")
    binarize = "sample black or white pixels with the grey value as probability: static (once) or dynamic (every epoch)"
    add("--binarize", metavar="HOW", help=binarize)
    without = f"train without the images of a class, for anomaly detection; the class is given {CALLED}"
    add("--without-class", metavar="CLASS", help=without)
    add("--seed", type=NATURAL, metavar="N", help="seed of weights, shuffling and noise (default 0)")
    add_backend(add)
    add("--out", metavar="DIR", help="folder for checkpoints, metrics and pictures (default runs/MODEL)")
    add("--resume", action="store_true", help="continue the run in --out, with its own data and settings")
    add("--overwrite", action="store_true", help="replace the run in --out")
    option = "an option of the model, e.g. hidden=512,256 or source=NAME; see 'tinyae models MODEL'; may be repeated"
    add("--set", action="append", default=[], metavar="KEY=VALUE", help=option)
    add("--no-pictures", action="store_true", help="do not write pictures")
    add_json(add)


def train(arguments):
    """Train a model, and write checkpoints, metrics and pictures to a folder."""
    from ..training import fit
    from ..training.pictures import Pictures
    from ..training.run import Run
    from .prior import EncodedData

    model_class, out = find_model(arguments.model), arguments.out
    if out is None:
        out = os.path.join("runs", arguments.model)
    resume, overwrite, backend, files = arguments.resume, arguments.overwrite, arguments.backend, _files(arguments.set)
    fit_options = {name: getattr(arguments, name) for name in FIT_OPTIONS if getattr(arguments, name) is not None}
    model_options = given_options(model_class, arguments.latent_dim, arguments.set)
    origin, opening = None, []
    before = Run(out).newest(model_class=model_class) if resume else None
    if before is not None:
        model_options, fit_options, origin = _as_before(before, out, model_class, model_options, fit_options)
    elif resume:
        opening.append(f"there is no run to resume in {out}: a new one begins")
    encoded = None
    if arguments.codes is not None or (origin or {}).get("codes"):
        encoded = EncodedData(
            model_class, out, arguments.codes, backend, before, arguments.data_options.get("data"),
            arguments.binarize, arguments.standardize, resume, overwrite,
        )  # fmt: skip
        origin, model_options = encoded.origin, encoded.options(model_options)
    hint = "the run was trained on it; if it was moved, give its new path with --data"
    if before is None and encoded is None:
        origin, hint = {"data": DEFAULT_DATA}, None
    data = given_or_known(origin, hint, **arguments.data_options)
    model_options.setdefault("input_shape", data.shape)
    if model_class.labels and data.class_count is not None:
        model_options.setdefault("classes", data.class_count)
    if isinstance(fit_options.get("without_class"), str):
        fit_options["without_class"] = data.find_class(fit_options["without_class"])
    model = model_class(**model_options, seed=fit_options.get("seed", 0), backend=backend)
    if encoded is not None:
        model.codec, data = encoded.codec, encoded.of(data, model)
    examples = counted(len(data.train), example(data.shape))
    opening.append(f"{model.name}: {model.param_count:,} parameters; {data.name}: {examples}")
    implied = fit.kinds["model"].implied(model, fit_options)
    said = [f"{name}={as_text(value)}" for name, value in implied.items() if name not in fit_options]
    if said:
        opening.append(f"trained as in source={model.config['source']}: {', '.join(said)}")

    pictures = None if arguments.no_pictures else Pictures(out, data)
    if pictures:
        try:
            opening += pictures.check()
        except MissingExtraError as error:
            opening.append(f"no pictures: {error}")
            pictures = None
    history = None
    try:
        history = fit(
            model, data, **{"epochs": 20 if len(data.train) > SMALL else 100} | fit_options, out=out,
            resume=resume, overwrite=overwrite, threads=arguments.threads,
            progress="\n".join(map(printable, opening)), on_start=encoded and encoded.keep,
            on_epoch=pictures and pictures.from_time_to_time,
        )  # fmt: skip
        if history.interrupted:
            tell = say if arguments.json else print_line
            tell(f"stopped after {history.steps} steps; {_how_to_go_on(arguments.model, out, backend, files)}")
        written = pictures.write(model, history.records) if pictures else []
    except KeyboardInterrupt:
        told = history is not None and history.interrupted
        say("tinyae: stopped at once" + ("" if told else f"; {_how_to_go_on(arguments.model, out, backend, files)}"))
        return 130
    last = history.records[-1] if history.records else {}
    if arguments.json:
        print_json({
            "out": out, "steps": history.steps, "interrupted": history.interrupted, "last": last, "pictures": written,
        } | ({"unshown": str(history.unshown)} if history.unshown else {}))  # fmt: skip
        return 130 if history.interrupted else 0
    if history.unshown:
        print_line(f"the progress display stopped early: {history.unshown}")
    if not history.interrupted:
        print_line(f"done: {history.steps} steps; checkpoints and {len(written)} pictures in {out}")
        own = [word for file in files for word in ("--networks", file)]
        following = [(word, out, *own) for word in ("evaluate", "sample" if model.prior.exists else "reconstruct")]
        if model.code.discrete:
            following.append(("train", "pixelcnn", "--codes", out))
        print_line("next: " + "   or   ".join(_command_line(*words) for words in following))
    return 130 if history.interrupted else 0


def _as_before(before, out, model_class, model_options, fit_options):
    """(options of the model, options of `fit`, origin of the data) of the Checkpoint `before`, which is resumed.

    Given options of `fit` replace the run's own. A given option of the model must equal the run's own.
    """
    if before.meta["model"] != model_class.name:
        name = before.meta["model"]
        raise ConfigError(
            f"{out} holds a run of {name}, not of {model_class.name}: resume {name}, or choose another --out"
        )
    training = before.training
    if training is None:
        raise CheckpointError(f"{before.path} holds a model, not a run: it cannot be resumed")
    settings = {name: value for name, value in training["settings"].items() if name in FIT_OPTIONS}
    if "epochs" in training:
        settings["epochs"] = training["epochs"]
    options = _merge(f"the run in {out}", dict(before.meta["config"]), model_options) | {"dtype": before.meta["dtype"]}
    return options, settings | fit_options, before.origin


def _merge(whose, before, now):
    from ..checkpoint.files import json_ready

    for name, value in json_ready(now).items():
        if before.get(name) != value:
            theirs, ours = shown(before.get(name)), shown(value)
            raise ConfigError(f"{whose} has {name}={theirs}, not {ours}: leave it out, or choose another --out")
    return before


def _files(texts):
    """The Python files among the texts of --set, which have the form "networks=FILE"."""
    return [text.partition("=")[2] for text in texts if text.startswith("networks=")]


def _how_to_go_on(model, out, backend, files):
    """Text with the command that resumes the run in `out`. model: a name. files: Python files of its networks."""
    from ..training.run import Run

    if not Run(out).used:
        return "nothing was saved yet"
    options = [] if backend == "numpy" else ["--backend", backend]
    options += [word for file in files for word in ("--set", f"networks={file}")]
    return f"go on with: {_command_line('train', model, '--out', out, '--resume', *options)}"


def _command_line(*words):
    """A command as the user would type it, with the program's name as the user typed it."""
    called = sys.argv[0]
    if os.path.basename(called) == "__main__.py":
        program = "python -m tinyae"
    else:
        program = "tinyae" if shutil.which("tinyae") == called else _quoted(called)
    return f"{program} {' '.join(map(_quoted, words))}"


def _quoted(word):
    """A word quoted for a shell, in one printable line."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(c if c.isprintable() and c not in "'\\" else _bytes(c) for c in word) + "'"


def _bytes(character):
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
