"""What the commands on codes share: the model, the examples that they start from, and the ways to answer."""

from functools import cached_property

import numpy as np

from ..data import to_float
from ..data.dataset import class_name
from ..data.examples import shaped
from ..errors import ConfigError
from .arguments import CALLED, add_json, print_json, print_line, run_options
from .trained import evenly_spaced, load_data, load_run, output_file, save_arrays, tell_notes

SAMPLE, MANY = 2000, 20_000  # examples over which dimensions are measured, and over which classes are learned


def coded_options(parser, name, kinds="a .png, or arrays: .npy (images), .npz (with codes)"):
    """Add the options of `Coded` to an argparse parser; returns its `add_argument`. name: as `Coded` takes it."""
    add = run_options(parser, f"{kinds} (default {name}.png beside the run)")
    add_json(add)
    return add


def label_option(add):
    """Add --label by an argparse parser's `add_argument`."""
    own = f"for a model that is told the class: decode as this one, {CALLED} (default: the image's own, or the first)"
    add("--label", metavar="CLASS", help=own)


class Coded:
    """A trained model, the data it is asked about, and the file to answer in.

    Parameters
    ----------
    name: of the picture to write beside the run where there is no `out`.
    path: a run's folder or a checkpoint file. backend: "numpy" or "cupy". data_options: arguments of `load_data`.
    out: a path to write to, or None. as_json: whether the answer is printed for programs.
    label: the class, in words, under which codes are decoded, or None.
    kinds: the endings that the file may have.

    Attributes
    ----------
    model; data, the Dataset, loaded where it is asked for; part, the Split of it that is asked about; labels (N,) or
    None; out, kind: the file's path and ending; told: whether encoder and decoder are told the label.

    Raises `ConfigError` for a model without codes that are vectors, or whose examples no picture shows.
    """

    def __init__(
        self, name, path, backend, data_options, out=None, as_json=False, label=None, kinds=(".png", ".npy", ".npz")
    ):
        self.data_options, self.as_json, self.label = data_options, as_json, label
        self.out, self.kind = output_file(out, path, f"{name}.png", kinds)
        self.model, self.origin = load_run(path, backend)
        shape = tuple(self.model.input_shape)
        self.told = bool(self.model.label_arguments(()))
        if self.model.code.encoded or self.model.prior.autoregressive:  # otherwise codes are vectors of the prior
            nothing = np.zeros((1, *shape), self.model.dtype)
            code = self.model.encode(nothing, **self.model.label_arguments(np.zeros(1, int)))
            if code.ndim != 2 or code.dtype.kind != "f":
                raise ConfigError(f"{self.model.name} has no codes that are vectors of numbers")
        if self.kind == ".png" and (len(shape) != 3 or shape[2] not in (1, 3)):
            hint = ": write arrays, with --out FILE.npz" if ".npz" in kinds else ""
            raise ConfigError(f"pictures show images, and {self.model.name} has examples of shape {shape}{hint}")

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
        """Indices of examples as an array (N,); `ConfigError` for one that the part does not have."""
        for i in indices:
            if i >= len(self.split):
                where = f"the {self.loaded.split} part of {self.data.name}"
                raise ConfigError(f"--index {i}: {where} has examples 0 to {len(self.split) - 1}")
        return np.array(indices)

    def evenly_spaced(self, most=SAMPLE):
        """The indices of `most` examples of the part at most, evenly spaced."""
        return evenly_spaced(len(self.split), most)

    def sample(self):
        """Some examples, and their labels or None."""
        rows = self.evenly_spaced()
        return self.split.x[rows], None if self.labels is None else self.labels[rows]

    def encode(self, rows=None):
        """The codes of the part, or of some rows of it."""
        x, labels = self.split.x, self.labels
        if rows is not None:
            x, labels = x[rows], None if labels is None else labels[rows]
        return self.model.encode(x, **self.model.label_arguments(labels))

    def decoded_as(self, rows=None):
        """The label, or labels of rows of the part, to decode codes under: that of --label, else the examples' own,
        else the first class; None where the model is told none."""
        if not self.told:
            if self.label is not None:
                raise ConfigError(f"--label {self.label}: the decoder of {self.model.name} is told no label")
            return None
        if self.label is not None:
            return self.data.find_class(self.label)
        return 0 if rows is None else self.labels[rows]

    def as_class(self, labels):
        """ ", as Bag" for a label, or for labels that are all the same; else ""."""
        same = labels is not None and len(np.unique(labels)) == 1
        return f", as {self.class_name(np.ravel(labels)[0])}" if same else ""

    def need_labels(self, why):
        if self.labels is None:
            raise ConfigError(f"{self.data.name} has no labels, which {why}: give labelled data with --data")

    def name(self, i):
        """Example i in words: its class, where it has one, and its index."""
        label = "" if self.labels is None else f"{self.class_name(self.labels[i])} "
        return f"{label}#{i}"

    def class_name(self, label):
        return class_name(label, self.data.class_names)

    def images(self, indices):
        """Examples as floats (N, *input_shape)."""
        x = to_float(self.split.x[np.asarray(indices)], self.model.dtype)
        return shaped(x, self.model.input_shape, self.model.name)

    def answer(self, images, arrays, facts, **words):
        """Write images (rows, columns, *input_shape) as a picture with `words` around, or with `arrays` as arrays; then
        print `facts` as JSON, or the file's name."""
        if self.kind == ".png":
            from .. import plot

            plot.grid(self.out, images.reshape(-1, *images.shape[2:]), images.shape[1], **words)
        else:
            save_arrays(self.out, {"x": images} | arrays)
        self.finish(facts)

    def finish(self, facts):
        """Print `facts` as JSON, or the file's name; then what there is to say of the data, where they were loaded."""
        if self.as_json:
            print_json({"model": self.model.name} | facts | {"out": self.out})
        else:
            print_line(self.out)
        if "loaded" in vars(self):
            tell_notes(self.data)
