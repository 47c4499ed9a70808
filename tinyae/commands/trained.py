"""A trained run, the data it is asked about, and the files that answer."""

import errno
import os
from collections import namedtuple

import numpy as np

from ..errors import CheckpointError, ConfigError, DataError
from ..terminal import say
from .arguments import LOADING

# The data that a command is asked about, a Dataset; the name of one of its parts or "all"; that part, a Split, or None.
Loaded = namedtuple("Loaded", "data split part")


def load_checkpoint(path):
    """The Checkpoint of a run's folder, or of a checkpoint file. Raises `CheckpointError`."""
    from ..training.load import find

    if not os.path.exists(path):
        raise CheckpointError(f"no run {path}: give the folder that tinyae train wrote, or a file in it")
    return find(path)


def load_run(path, backend="numpy"):
    """(model on that backend, origin of its training data or None) of a run's folder or a checkpoint file."""
    found = load_checkpoint(path)
    return found.model(backend), found.origin


def codec_of(model):
    """The vq-vae whose codes are the examples of a model of codes. ConfigError where it is not known."""
    if model.codec is None:
        raise ConfigError(f"{model.name} was trained on codes whose vq-vae is not known: give a run of train --codes")
    return model.codec


def what_to_load(known, data=None, **loading):
    """The arguments of `data.load`: those that are given, else those that are known.

    known: a run's origin, or None. data: a data set's name or a path, or None. loading: options of LOADING.
    """
    asked = dict.fromkeys(LOADING) | loading
    if data is not None:
        if asked["size"] is not None and asked["fit"] is None:
            asked["fit"] = (known or {}).get("fit")  # the way the run's own images were brought to their size
        return {"name_or_path": data} | asked
    own = {name: known.get(name) if value is None else value for name, value in asked.items()}
    return {"name_or_path": known["data"]} | own


def given_or_known(origin, hint="the run was trained on it; give other data with --data", data=None, **loading):
    """The Dataset that `data` names, else the one of a run's origin. Raises `ConfigError` where neither is known.

    hint: for the message of the `DataError` where the origin's data are not there. data, loading: as in `what_to_load`.
    """
    from ..data import load

    if data is None and origin is None:
        raise ConfigError("this model does not say what data it was trained on: give --data")
    try:
        return load(**what_to_load(origin, data, **loading))
    except DataError as error:
        raise DataError(f"{error} ({hint})" if hint and data is None else str(error)) from None


def load_data(origin, *models, split=None, data=None, **loading):
    """The `Loaded` data that `models` are asked about, by default the data of `origin`, the first run's.

    For a model that uses labels the classes are numbered as it has learned them, by their names.

    split: a part's name or "all"; None takes the test part, else the validation part where there is one. data, loading:
    as in `what_to_load`. Raises `DataError` for data that cannot be read or have other columns, and `ConfigError` for
    models of different classes or a part that the data do not have.
    """
    found = given_or_known(origin, data=data, **loading)
    check_columns(found, origin)
    learned = {model.class_names: model.name for model in models if model.labels and model.class_names}
    if len(learned) > 1:
        raise ConfigError("these runs have learned different classes, or in another order: ask them one by one")
    for names, whose in learned.items():
        found = found.numbered_as(names, whose)
    if split == "all":
        return Loaded(found, split, None)
    if split is None:
        split = "validation" if "validation" in found.parts and "test" not in found.parts else "test"
    if split not in found.parts:
        others = " or ".join(reversed(found.parts))
        raise ConfigError(f"{found.name} has no {split} part: use --split {others}")
    return Loaded(found, split, found.parts[split])


def evenly_spaced(count, most):
    """(n,) indices of `count` examples, `most` of them at most, evenly spaced from the first to the last."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)


def tell_notes(data):
    """Say on stderr, when a command is done, what the loader recognised in the files of a Dataset and left out."""
    for note in data.notes:
        say(f"{data.name}: {note}")


def check_columns(data, origin):
    """Refuse a table that has columns of the run's names at other places, which would be taken for others: `DataError`.

    origin: the run's, or None.
    """
    from ..data.files import listed

    names, own = list(data.feature_names or ()), (origin or {}).get("columns") or []
    known = {name: i for i, name in enumerate(own)}
    moved = [name for i, name in enumerate(names) if known.get(name, i) != i]
    if moved and names != own:
        raise DataError(
            f"{data.name} has columns at other places than the run's data ({listed(moved)}): bring them into its "
            f"order, {listed(own)}"
        )


def output_file(out, run_path, name, kinds):
    """(path to write to, its ending): `out`, or where that is None the file `name` beside the run.

    run_path: a run's folder or a file in it. kinds: the endings that there may be, in lower case. Raises `ConfigError`
    for another ending or a folder, `OSError` where no file can be written, and `MissingExtraError` for a picture
    without the extra viz.
    """
    path = out
    if path is None:
        folder = run_path if os.path.isdir(run_path) else os.path.dirname(run_path)
        path = os.path.join(folder, name)
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
    """Write {name: array} as .npz, or the array "x" alone as .npy."""
    if path.lower().endswith(".npy"):
        _replace(path, lambda file: np.save(file, arrays["x"]))
    else:
        _replace(path, lambda file: np.savez(file, **arrays))


def write_text(path, text):
    """Write a text as UTF-8, with names of files as they are."""
    _replace(path, lambda file: file.write(text.encode("utf-8", "surrogateescape")))


def _replace(path, fill):
    from ..checkpoint.files import replace_whole

    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    replace_whole(path, fill)
