"""The model in a checkpoint. Its class is one of tinyae's, all of which are imported here, or one that is given."""

from .. import models  # noqa: F401  (their classes enter themselves in the list that checkpoints look into)
from ..checkpoint.files import find
from ..options import Path, options

__all__ = ["find", "load"]


@options(path=Path())
def load(path, backend="numpy", model=None):
    """The model in a checkpoint file or in a run's folder: of its best epoch, or the last where that file is damaged,
    which is said on stderr.

    model: the class of a model of your own; without it the class must be imported already, and is found by its name.

    Raises CheckpointError if there is none or it is damaged.
    """
    return find(path).model(backend, model)
