"""What `tinyae train pixelcnn --codes RUN` adds: the vq-vae whose codes a prior is trained on, and those codes."""

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
    """The codes of a vq-vae as data for a run in the folder `out`, which keeps a copy of that vq-vae.

    Parameters
    ----------
    model_class: of the model that is trained. out: the run's folder. resume, overwrite: as `fit` takes them.
    path: of the vq-vae's run; None takes the one in the checkpoint that is resumed. backend: "numpy" or "cupy".
    before: the Checkpoint that is resumed, or None.
    data: the data set's name or path that is given, or None. binarize, standardize: as `fit` takes them; refused here.

    Attributes
    ----------
    origin: of the images that are encoded, as `data.load` takes it. codec: the vq-vae. where: its checkpoint's path.

    Raises `ConfigError` for a model that learns no codes, a folder in use, and another vq-vae than the run's.
    """

    def __init__(
        self, model_class, out, path, backend, before=None, data=None, binarize=None, standardize=None, resume=False,
        overwrite=False,
    ):  # fmt: skip
        if not model_class.prior.autoregressive:
            why = f"--codes is for pixelcnn, which learns codes, and {model_class.name} learns from images"
            if "codes" in default_options(model_class):
                why += f": the number of codes is --set codes={path}"
            raise ConfigError(why)
        if binarize or standardize:
            option = "--binarize" if binarize else "--standardize"
            raise ConfigError(f"{option} is for images or rows, and --codes gives integers: leave one out")
        Run(out, resume, overwrite).refuse_if_used()
        self.out = out
        if before is None:
            found = find_codec(path)
            self.origin = found.origin
        else:
            found = before.codec()
            if found is None:
                raise ConfigError(f"the run in {out} was not trained on codes: leave --codes out, or choose --out")
            self.origin = before.origin
            if path is not None and not same(found, find_codec(path)):
                raise ConfigError(
                    f"the run in {out} is of another vq-vae than --codes {path}: leave --codes out to go on "
                    "with its own, or choose --out"
                )
        if self.origin is None and data is None:
            raise ConfigError(f"{found.path} does not say what data it was trained on: give --data")
        self.where, self.codec = found.path, found.model(backend)

    def options(self, given):
        """{name: value} of the pixelcnn's options: those that are given, and those that follow from the codes."""
        levels = self.codec.code_count
        if given.get("levels", levels) != levels:
            raise ConfigError(
                f"levels={given['levels']}, and the vq-vae in {self.where} has {levels} codes: leave levels out"
            )
        height, width, *books = self.codec.code_shape
        return given | {"levels": levels, "input_shape": (height, width * math.prod(books))}

    def of(self, data, model):
        """The Dataset with codes in place of its images. What `model`, the pixelcnn, or the vq-vae has against it is
        said before the long wait."""
        for part in data.parts.values():
            x, labels = as_split(part)
            self.codec.admit(x[:1])
            if model.labels:
                model.check_labels(labels, len(x))
        count = sum(map(len, data.parts.values()))
        if self.codec.backend.name == "numpy":
            operations.compile_now()  # so that the codes are the same as when the run goes on
        say(f"encoding {count:,} images of {data.name} by the vq-vae in {self.where}")
        return codes_of(data, self.codec)

    def keep(self):
        """Leave a copy of the vq-vae beside the run's checkpoints, which then need nothing else."""
        self.codec.save(os.path.join(self.out, checkpoint.CODEC))


def find_codec(path):
    """The Checkpoint of the vq-vae that --codes names."""
    if not os.path.exists(path):
        raise CheckpointError(f"--codes {path}: no such run: give the folder of a vq-vae that tinyae train wrote")
    found = checkpoint.find(path)
    if found.meta["model"] != "vq-vae":
        raise ConfigError(f"--codes {path} holds a run of {found.meta['model']}: codes come from a run of vq-vae")
    return found


def same(one, other):
    """Whether two checkpoints hold the same model."""
    equal = (np.array_equal(one.arrays[name], other.arrays[name]) for name in ("params", "state"))
    return one.meta["config"] == other.meta["config"] and all(equal)
