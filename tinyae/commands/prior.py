"""`tinyae train pixelcnn --codes RUN` trains a prior on the codes that a vq-vae gives to images."""

import math
import os

import numpy as np

from ..backend import operations
from ..checkpoint import files as checkpoint
from ..data.encoded import codes_of
from ..errors import CheckpointError, ConfigError
from ..terminal import say
from ..training.prepared import as_split
from ..training.run import Run
from .model_options import default_options


class EncodedData:
    """The codes of a vq-vae as training data for a run in the folder `out`, which keeps a copy of that vq-vae.

    Parameters
    ----------
    model_class : type
        Class of the model that is trained.
    out : str
        The run's folder.
    path : str or None
        Path of the vq-vae's run; None takes the vq-vae in the checkpoint that is resumed.
    backend : str
        "numpy" or "cupy".
    before : Checkpoint or None
        The checkpoint that is resumed.
    data : str or None
        Name or path of the data set, if it is given.
    binarize, standardize
        Options of `fit`, which are refused here.
    resume, overwrite : bool
        Options of `fit`.

    The attributes are `origin`, the arguments of `data.load` for the images that are encoded; `codec`, the vq-vae; and
    `where`, the path of its checkpoint.

    Raises
    ------
    ConfigError
        If the model is not trained on codes, the folder is in use, or the run has another vq-vae.
    """

    def __init__(
        self, model_class, out, path, backend, before=None, data=None, binarize=None, standardize=None, resume=False,
        overwrite=False,
    ):  # fmt: skip
        if not model_class.prior.autoregressive:
            why = f"--codes is for pixelcnn, which is trained on codes, and {model_class.name} is trained on images"
            if "codes" in default_options(model_class):
                why += f": the number of codes is --set codes={path}"
            raise ConfigError(why)
        if binarize or standardize:
            option = "--binarize" if binarize else "--standardize"
            raise ConfigError(f"{option} is for images or rows, and codes are integers: leave {option} or --codes out")
        Run(out, resume, overwrite).refuse_if_used()
        self.out = out
        if before is None:
            found = find_codec(path)
            self.origin = found.origin
        else:
            found = before.codec()
            if found is None:
                raise ConfigError(
                    f"the run in {out} was not trained on codes: leave --codes out, or choose another --out"
                )
            self.origin = before.origin
            if path is not None and not same(found, find_codec(path)):
                raise ConfigError(
                    f"the run in {out} was trained on codes of another vq-vae than {path}: leave --codes out to go on "
                    "with its own, or choose another --out"
                )
        if self.origin is None and data is None:
            raise ConfigError(f"{found.path} does not name its training data: give --data")
        self.where, self.codec = found.path, found.model(backend)

    def options(self, given):
        """{name: value} of the pixelcnn's options: the given ones, and the ones that follow from the codes."""
        levels = self.codec.code_count
        if given.get("levels", levels) != levels:
            raise ConfigError(
                f"levels={given['levels']}, but the vq-vae in {self.where} has {levels} codes: leave levels out"
            )
        height, width, *books = self.codec.code_shape
        return given | {"levels": levels, "input_shape": (height, width * math.prod(books))}

    def of(self, data, model):
        """Encode a Dataset: its images are replaced by codes.

        Images that the vq-vae refuses, or labels that `model`, the pixelcnn, refuses, raise an error before any are
        encoded.
        """
        for part in data.parts.values():
            x, labels = as_split(part)
            self.codec.admit(x[:1])
            if model.labels:
                model.check_labels(labels, len(x))
        count = sum(map(len, data.parts.values()))
        if self.codec.backend.name == "numpy":
            operations.compile_now()  # so that a resumed run gets the same codes
        say(f"encoding {count:,} images of {data.name} by the vq-vae in {self.where}")
        return codes_of(data, self.codec)

    def keep(self):
        """Save a copy of the vq-vae in the run's folder, so that the run does not need the vq-vae's own folder."""
        self.codec.save(os.path.join(self.out, checkpoint.CODEC))


def find_codec(path):
    """The Checkpoint of the vq-vae in the run `path` that --codes names."""
    if not os.path.exists(path):
        raise CheckpointError(f"--codes {path}: no such run: give the folder of a vq-vae that tinyae train wrote")
    found = checkpoint.find(path)
    if found.meta["model"] != "vq-vae":
        raise ConfigError(f"--codes {path} holds a run of {found.meta['model']}: give a run of vq-vae")
    return found


def same(one, other):
    """Whether two checkpoints hold the same model, with equal options, parameters and state."""
    equal = (np.array_equal(one.arrays[name], other.arrays[name]) for name in ("params", "state"))
    return one.meta["config"] == other.meta["config"] and all(equal)
