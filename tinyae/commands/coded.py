"""Shared by the commands on codes: loading the model and its examples, and writing the result."""

from functools import cached_property

import numpy as np

from ..data import to_float
from ..data.dataset import class_name
from ..data.examples import shaped
from ..errors import ConfigError
from .arguments import CALLED, add_json, print_json, print_line, run_options
from .trained import evenly_spaced, load_data, load_run, output_file, save_arrays, tell_notes

SAMPLE, MANY = 2000, 20_000  # numbers of examples to measure dimensions on, and to learn classes from


def coded_options(parser, name, kinds="a .png, or arrays: .npy (images), .npz (with codes)"):
    """Add the options of `Coded` to an argparse parser, and return its `add_argument`. name: see `Coded`."""
    add = run_options(parser, f"{kinds} (default {name}.png in the run's folder)")
    add_json(add)
    return add


def label_option(add):
    """Add --label. add: an argparse parser's `add_argument`."""
    own = f"class for a decoder that takes labels, {CALLED} (default: the image's own, or the first)"
    add("--label", metavar="CLASS", help=own)


class Coded:
    """A trained model, the split of a data set that a command works on, and the file that it writes.

    Parameters
    ----------
    name : str
        Name of the picture in the run's folder, if `out` is None.
    path : str
        A run's folder or a checkpoint file.
    backend : str
        "numpy" or "cupy".
    data_options : dict
        Keyword arguments of `load_data`.
    out : str or None
        Path of the file to write.
    as_json : bool
        Whether the results are printed as JSON.
    label : str or None
        The class to decode codes as, by name or number.
    kinds : tuple of str
        File extensions that are allowed.

    The attributes are `model`; `data`, a Dataset that is loaded when it is first used; `split`, a Split of it;
    `labels`, (N,) or None; `out` and `kind`, the file's path and extension; `told`, whether encoder and decoder take
    labels.

    Raises
    ------
    ConfigError
        If the model's codes are not vectors, or a picture is wanted of examples that are not images.
    """

    def __init__(
        self, name, path, backend, data_options, out=None, as_json=False, label=None, kinds=(".png", ".npy", ".npz")
    ):
        self.data_options, self.as_json, self.label = data_options, as_json, label
        self.out, self.kind = output_file(out, path, f"{name}.png", kinds)
        self.model, self.origin = load_run(path, backend)
        shape = tuple(self.model.input_shape)
        self.told = bool(self.model.label_arguments(()))
        # The other models, such as gan, have vectors sampled from the prior as codes.
        if self.model.code.encoded or self.model.prior.autoregressive:
            nothing = np.zeros((1, *shape), self.model.dtype)
            code = self.model.encode(nothing, **self.model.label_arguments(np.zeros(1, int)))
            if code.ndim != 2 or code.dtype.kind != "f":
                raise ConfigError(f"{self.model.name} has no codes that are vectors of numbers")
        if self.kind == ".png" and (len(shape) != 3 or shape[2] not in (1, 3)):
            hint = ": write arrays, with --out FILE.npz" if ".npz" in kinds else ""
            raise ConfigError(f"pictures need images, and {self.model.name} has examples of shape {shape}{hint}")

    @cached_property
    def loaded(self):
        return load_data(self.origin, self.model, **self.data_options)

    @property
    def data(self):
        return self.loaded.data

    @property
    def split(self):
        return self.loaded.part

    @property
    def labels(self):
        return self.split.labels

    def find(self, indices):
        """Indices of examples as an array (N,). Raises `ConfigError` for an index beyond the split's end."""
        for i in indices:
            if i >= len(self.split):
                where = f"the {self.loaded.split} split of {self.data.name}"
                raise ConfigError(f"--index {i}: {where} has examples 0 to {len(self.split) - 1}")
        return np.array(indices)

    def evenly_spaced(self, most=SAMPLE):
        """Evenly spaced indices of at most `most` examples of the split."""
        return evenly_spaced(len(self.split), most)

    def sample(self):
        """(examples, their labels or None) of at most SAMPLE examples, evenly spaced."""
        rows = self.evenly_spaced()
        return self.split.x[rows], None if self.labels is None else self.labels[rows]

    def encode(self, rows=None):
        """The codes (N, latent_dim) of the whole split, or of the examples with indices `rows`."""
        x, labels = self.split.x, self.labels
        if rows is not None:
            x, labels = x[rows], None if labels is None else labels[rows]
        return self.model.encode(x, **self.model.label_arguments(labels))

    def decoded_as(self, rows=None):
        """The label that codes are decoded with, or None for a decoder that takes none.

        It is the class of --label, else the own labels (N,) of the examples with indices `rows`, else the first class.
        """
        if not self.told:
            if self.label is not None:
                raise ConfigError(f"--label {self.label}: {self.model.name} decodes without labels: leave --label out")
            return None
        if self.label is not None:
            return self.data.find_class(self.label)
        return 0 if rows is None else self.labels[rows]

    def as_class(self, labels):
        """Words for a title, such as ", as Bag", if all labels are the same, and "" otherwise."""
        same = labels is not None and len(np.unique(labels)) == 1
        return f", as {self.class_name(np.ravel(labels)[0])}" if same else ""

    def need_labels(self, why):
        if self.labels is None:
            raise ConfigError(f"{why}, and {self.data.name} has no labels: give labelled data with --data")

    def name(self, i):
        """A name for example i: its class, if it has one, and its index, as in "Bag #7"."""
        label = "" if self.labels is None else f"{self.class_name(self.labels[i])} "
        return f"{label}#{i}"

    def class_name(self, label):
        return class_name(label, self.data.class_names)

    def images(self, indices):
        """Examples by their indices, as floats (N, *input_shape)."""
        x = to_float(self.split.x[np.asarray(indices)], self.model.dtype)
        return shaped(x, self.model.input_shape, self.model.name)

    def answer(self, images, arrays, facts, **words):
        """Write the result and print `facts` as JSON, or the file's name.

        images (rows, columns, *input_shape) become a picture with titles and labels from `words`, or are written
        together with `arrays` as a file of arrays.
        """
        if self.kind == ".png":
            from .. import plot

            plot.grid(self.out, images.reshape(-1, *images.shape[2:]), images.shape[1], **words)
        else:
            save_arrays(self.out, {"x": images} | arrays)
        self.finish(facts)

    def finish(self, facts):
        """Print `facts` as JSON, or the file's name; then the notes on the data, if data were loaded."""
        if self.as_json:
            print_json({"model": self.model.name} | facts | {"out": self.out})
        else:
            print_line(self.out)
        if "loaded" in vars(self):
            tell_notes(self.data)
