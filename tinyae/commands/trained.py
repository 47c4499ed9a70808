"""A trained run, the data it is asked about, and the files that answer."""

import errno
import os

from ..errors import CheckpointError, ConfigError, DataError
from .arguments import LOADING


def load_checkpoint(arguments):
    """The Checkpoint of the run or file that the command is given."""
    from ..training.load import find

    if not os.path.exists(arguments.run_path):
        raise CheckpointError(f"no run {arguments.run_path}: give the folder that tinyae train wrote, or a file in it")
    return find(arguments.run_path)


def load_run(arguments):
    """(model, origin of its training data or None)."""
    found = load_checkpoint(arguments)
    return found.model(arguments.backend), found.origin


def codec_of(model):
    """The vq-vae whose codes are the examples of a model of codes. ConfigError where it is not known."""
    if model.codec is None:
        raise ConfigError(f"{model.name} was trained on codes whose vq-vae is not known: give a run of train --codes")
    return model.codec


def what_to_load(arguments, known):
    """The arguments of `data.load`: what --data and the options beside it say, else what is known, a run's origin."""
    asked = {name: getattr(arguments, name) for name in LOADING}
    if arguments.data is not None:
        if asked["size"] is not None and asked["fit"] is None:
            asked["fit"] = (known or {}).get("fit")  # the way the run's own images were brought to their size
        return {"name_or_path": arguments.data} | asked
    own = {name: known.get(name) if value is None else value for name, value in asked.items()}
    return {"name_or_path": known["data"]} | own


def load_part(arguments, origin, model):
    """(Split, the data's name) that the command asks `model` about."""
    data, part = load_data(arguments, origin, model)
    return part, data.name


def given_or_known(arguments, origin, hint="the run was trained on it; give other data with --data"):
    """The Dataset that --data names, else the one of a run's origin. hint: for the message where that is not there."""
    from ..data import load

    if arguments.data is None and origin is None:
        raise ConfigError("this model does not say what data it was trained on: give --data")
    try:
        return load(**what_to_load(arguments, origin))
    except DataError as error:
        raise DataError(f"{error} ({hint})" if hint and arguments.data is None else str(error)) from None


def load_data(arguments, origin, *models):
    """(Dataset, the Split of it, None for all of them) that the command asks `models` about.

    For a model that uses labels the classes are numbered as it has learned them, by their names.
    """
    data = given_or_known(arguments, origin)
    check_columns(data, origin)
    learned = {model.class_names: model.name for model in models if model.uses_labels and model.class_names}
    if len(learned) > 1:
        raise ConfigError("these runs have learned different classes, or in another order: ask them one by one")
    for names, whose in learned.items():
        data = data.numbered_as(names, whose)
    arguments.notes = [f"{data.name}: {note}" for note in data.notes]  # shown when the command is done
    if arguments.split == "all":
        return data, None
    if arguments.split is None:
        arguments.split = "validation" if "validation" in data.parts and "test" not in data.parts else "test"
    if arguments.split not in data.parts:
        others = " or ".join(reversed(data.parts))
        raise ConfigError(f"{data.name} has no {arguments.split} part: use --split {others}")
    return data, data.parts[arguments.split]


def check_columns(data, origin):
    """Refuse a table that has columns of the run's names at other places, which would be taken for others."""
    from ..data.files import listed

    names, own = list(data.feature_names or ()), (origin or {}).get("columns") or []
    known = {name: i for i, name in enumerate(own)}
    moved = [name for i, name in enumerate(names) if known.get(name, i) != i]
    if moved and names != own:
        raise DataError(
            f"{data.name} has columns at other places than the run's data ({listed(moved)}): bring them into its "
            f"order, {listed(own)}"
        )


def output_file(arguments, name, kinds):
    """(path to write to, its ending): --out, or `name` beside the run."""
    path, folder = arguments.out, arguments.run_path
    if path is None:
        path = os.path.join(folder if os.path.isdir(folder) else os.path.dirname(folder), name)
    kind = os.path.splitext(path)[1].lower()
    if kind not in kinds:
        raise ConfigError(f"--out {path}: expected a file name that ends in {' or '.join(kinds)}")
    if os.path.isdir(path):
        raise ConfigError(f"--out {path} is a folder: give the name of a file")
    check_writable(path)
    if kind == ".png":
        from .. import plot

        plot.check_viz()
    return path, kind


def check_writable(path):
    """Raises, before a long wait, the OSError that writing a new file there would meet with."""
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    number = errno.ENOTDIR if not os.path.isdir(folder) else 0 if os.access(folder, os.W_OK | os.X_OK) else errno.EACCES
    if number:
        raise OSError(number, os.strerror(number), os.path.relpath(folder) if not os.path.isabs(path) else folder)


def save_arrays(path, arrays):
    import numpy as np

    if path.lower().endswith(".npy"):
        _replace(path, lambda file: np.save(file, arrays["x"]))
    else:
        _replace(path, lambda file: np.savez(file, **arrays))


def write_text(path, text):
    _replace(path, lambda file: file.write(text.encode("utf-8", "surrogateescape")))  # names of files as they are


def _replace(path, fill):
    from ..checkpoint.files import replace_whole

    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    replace_whole(path, fill)
