"""Load a trained run and the data to use it on, and write files of results."""

import errno
import os
from collections import namedtuple

import numpy as np

from ..errors import CheckpointError, ConfigError, DataError
from ..terminal import say
from .arguments import LOADING

# A Dataset; the name of one of its splits, or "all"; that Split, or None for "all".
Loaded = namedtuple("Loaded", "data split part")


def load_checkpoint(path):
    """Read the Checkpoint in a run's folder, or a checkpoint file. Raises `CheckpointError` if there is none."""
    from ..training.load import find

    if not os.path.exists(path):
        raise CheckpointError(f"no run {path}: give a folder that tinyae train wrote, or a checkpoint file in it")
    return find(path)


def load_run(path, backend="numpy"):
    """Load (model, origin of its training data or None) from a run's folder or a checkpoint file."""
    found = load_checkpoint(path)
    return found.model(backend), found.origin


def codec_of(model):
    """The vq-vae whose codes a model was trained on. Raises `ConfigError` if the model has none."""
    if model.codec is None:
        raise ConfigError(f"this {model.name} has no vq-vae to encode images: give a run of 'tinyae train --codes'")
    return model.codec


def what_to_load(known, data=None, **loading):
    """The arguments of `data.load`: the given ones, or else a run's own.

    known: a run's origin, or None. data: name or path of a data set, or None. loading: options of LOADING.
    """
    asked = dict.fromkeys(LOADING) | loading
    if data is not None:
        if asked["size"] is not None and asked["fit"] is None:
            asked["fit"] = (known or {}).get("fit")  # resize as for the run's own images
        return {"name_or_path": data} | asked
    own = {name: known.get(name) if value is None else value for name, value in asked.items()}
    return {"name_or_path": known["data"]} | own


def given_or_known(origin, hint="the run was trained on it; give other data with --data", data=None, **loading):
    """Load the Dataset that `data` names, or else a run's training data. Raises `ConfigError` if neither is known.

    hint: advice that is added to the `DataError` if the run's training data are missing. data, loading: see
    `what_to_load`.
    """
    from ..data import load

    if data is None and origin is None:
        raise ConfigError("this model does not name its training data: give --data")
    try:
        return load(**what_to_load(origin, data, **loading))
    except DataError as error:
        raise DataError(f"{error} ({hint})" if hint and data is None else str(error)) from None


def load_data(origin, *models, split=None, data=None, **loading):
    """Load the data to use `models` on, by default the training data of the first run, whose origin is `origin`.

    If a model takes labels, classes are matched by name and numbered as in its training data.

    split: a split's name or "all"; None means test, or validation if there is no test split. data, loading: see
    `what_to_load`. Returns `Loaded`. Raises `DataError` for data that cannot be read or have other columns, and
    `ConfigError` for models with different classes or a split that the data set does not have.
    """
    found = given_or_known(origin, data=data, **loading)
    check_columns(found, origin)
    learned = {model.class_names: model.name for model in models if model.labels and model.class_names}
    if len(learned) > 1:
        raise ConfigError("these runs have different classes, or in another order: give one run at a time")
    for names, whose in learned.items():
        found = found.numbered_as(names, whose)
    if split == "all":
        return Loaded(found, split, None)
    if split is None:
        split = "validation" if "validation" in found.parts and "test" not in found.parts else "test"
    if split not in found.parts:
        others = " or ".join(reversed(found.parts))
        raise ConfigError(f"{found.name} has no {split} split: use --split {others}")
    return Loaded(found, split, found.parts[split])


def evenly_spaced(count, most):
    """Indices (n,) of at most `most` of `count` examples, evenly spaced from the first to the last."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)


def tell_notes(data):
    """Print on stderr what the loader detected in the files of a Dataset and what it left out."""
    for note in data.notes:
        say(f"{data.name}: {note}")


def check_columns(data, origin):
    """Raise `DataError` if a table has the columns of the run in another order, which would mix them up.

    origin: the run's origin, or None.
    """
    from ..data.files import listed

    names, own = list(data.feature_names or ()), (origin or {}).get("columns") or []
    known = {name: i for i, name in enumerate(own)}
    moved = [name for i, name in enumerate(names) if known.get(name, i) != i]
    if moved and names != own:
        raise DataError(
            f"{data.name} has columns in another order than the run's data ({listed(moved)}): reorder them as "
            f"{listed(own)}"
        )


def output_file(out, run_path, name, kinds):
    """(path to write to, its extension): `out`, or the file `name` in the run's folder if `out` is None.

    run_path: a run's folder or a file in it. kinds: the allowed extensions, in lower case. Raises `ConfigError` for
    another extension or a folder, `OSError` if the file cannot be written, and `MissingExtraError` for a picture if the
    extra viz is not installed.
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
    """Raise the OSError that writing a new file would raise, before a long computation begins."""
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
    """Write a text as UTF-8. File names that are not UTF-8 keep their bytes."""
    _replace(path, lambda file: file.write(text.encode("utf-8", "surrogateescape")))


def _replace(path, fill):
    from ..checkpoint.files import replace_whole

    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    replace_whole(path, fill)
