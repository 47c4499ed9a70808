"""Load a model from a checkpoint. All of tinyae's models are imported here, so that it finds their classes."""

from .. import models  # noqa: F401  (importing a model registers its class)
from ..checkpoint.files import find
from ..options import Path, options

__all__ = ["find", "load"]


@options(path=Path())
def load(path, backend="numpy", model=None):
    """Load a trained model from a checkpoint file or a run's folder.

    A folder gives the model of the best epoch, or of the last one if that file is corrupted, which a line on stderr
    reports.

    Parameters
    ----------
    path : str
        A checkpoint file or a run's folder.
    backend : str, default "numpy"
        "numpy" or "cupy".
    model : type, optional
        The class of a model of your own. By default the class is found by its name, and must be imported already.

    Returns
    -------
    model : Model

    Raises
    ------
    CheckpointError
        If there is no checkpoint, or it is corrupted.

    Example
    -------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/small.npz"
    >>> models.VAE(hidden=(8,), latent_dim=3, input_shape=(4, 4, 1)).save(path)
    >>> load(path).latent_dim
    3
    """
    return find(path).model(backend, model)
