"""`fit`, the function that trains a model: it checks its options, prepares the data, and opens the run's folder."""

import contextlib

from ..backend.memory import keep_freed_memory
from ..data import binarize as binarized
from ..errors import ConfigError
from ..optim import OPTIMIZERS, SCHEDULES
from ..options import (
    MODEL,
    RATE,
    SEED,
    Choice,
    Count,
    Either,
    Flag,
    Function,
    Having,
    Kind,
    Number,
    Optional,
    Path,
    Text,
    options,
)  # fmt: skip
from .loop import Trainer
from .prepared import Prepared
from .run import Run
from .workers import workers


class _Trainable(Having):
    """A model, whose `source` gives defaults for other options of `fit`."""

    def implied(self, value, given):
        """{name: value} of the options that the model's source was trained with; epsilon only with its optimizer."""
        options = getattr(getattr(value, "published", None), "fit", {})
        return {name: options[name] for name in options if name != "epsilon" or "optimizer" not in given}


class _Display(Kind):
    """A value of the option `progress`."""

    wanted = "True, False, a line to begin with, or a display"

    def convert(self, value):
        if not isinstance(value, (bool, str)) and not hasattr(value, "epoch"):
            raise TypeError
        return value


@options(
    "flag",
    model=_Trainable(MODEL.wanted, *MODEL.attributes), epochs=Count(), batch_size=Count(1, None),
    optimizer=Choice(OPTIMIZERS, "optimizer"), lr=RATE,
    epsilon=Optional(RATE), schedule=Choice(SCHEDULES, "schedule"), warmup=Count(0, None), clip_norm=Optional(RATE),
    seed=SEED,
    validation=Number(least=0, below=1), binarize=Optional(Choice(binarized.KINDS, "way to binarize")),
    standardize=Flag(), without_class=Optional(Either(Count(0), Text())), out=Optional(Path()),
    resume=Flag(), overwrite=Flag(), checkpoint_every=Number(least=0, finite=False), progress=_Display(),
    threads=Optional(Count(1, 1024)), on_start=Optional(Function()), on_epoch=Optional(Function()),
)  # fmt: skip
def fit(
    model, data, *, epochs=10, batch_size=128, optimizer="adam", lr=1e-3, epsilon=None, schedule="constant", warmup=0,
    clip_norm=None, validation=0.0, test=None, standardize=False, binarize=None, without_class=None, seed=0, out=None,
    resume=False, overwrite=False, checkpoint_every=30.0, progress=True, on_start=None, on_epoch=None, threads=None,
):  # fmt: skip
    """Train a model on data. The model is changed in place.

    A run is a pure function of the model, the data and these options: a run that is stopped and resumed ends with the
    same bits as an uninterrupted one, for any number of threads. Ctrl-C finishes the current step, saves, and returns.
    A second Ctrl-C stops at once.

    Parameters
    ----------
    model : Model
        The model to train.
    data : Dataset, Split, array (N, ...), (x, labels) or dict
        Training examples; of a Dataset, its training split. A dict is {"x": ..., "labels": ...}. x and labels may be
        arrays, lists, tensors, a Series or a DataFrame; labels belong to examples by position.
    epochs : int, default 10
        Passes over the training examples.
    batch_size : int, default 128
        Examples per step; the last mini-batch of an epoch may be smaller. For a model with an option `source`, the
        defaults of batch_size, optimizer, lr and epsilon are the source's.
    optimizer : str, default "adam"
        "adam", "adamw", "keras-adam" (as in Keras and TensorFlow), "rmsprop" or "sgd" (with momentum 0.9).
    lr : float, default 0.001
        Learning rate.
    epsilon : float, optional
        Added to the square root in the denominator of the update, for every optimizer but sgd; 1e-8 by default, and
        1e-7 for keras-adam. With a `source`, in units of the source's loss.
    schedule : str, default "constant"
        How the learning rate changes: "constant", "step" or "cosine".
    warmup : int, default 0
        Steps in which the learning rate rises linearly from 0.
    clip_norm : float, optional
        Largest global norm of the gradient; a longer gradient is scaled down to it.
    validation : float, default 0
        Share of the training examples that is held out to select the best epoch. With 0, a Dataset's validation split
        selects it, or else the training loss.
    test : like data, optional
        Examples whose loss is reported after each epoch, without any influence on the run. By default, a Dataset's test
        split.
    standardize : bool, default False
        Scale the columns of examples (N, D) to mean 0 and standard deviation 1 over the training examples. The model
        keeps both (`Model.standardize`).
    binarize : str, optional
        Sample each pixel as 0 or 1, with its grey value as the probability of 1: "static" once, or "dynamic" anew in
        each epoch. Validation and test examples are sampled once in both cases.
    without_class : int or str, optional
        A label or a class's name: its examples are left out, for anomaly detection.
    seed : int, default 0
        Seed of the order of examples, the held-out share and the noise.
    out : str, optional
        Folder for checkpoints (last, previous, best) and metrics.jsonl. A folder with a run is refused, unless `resume`
        or `overwrite` is set.
    resume, overwrite : bool, default False
        Continue the run in `out`, with equal settings and data; or replace it.
    checkpoint_every : float, default 30
        Seconds between checkpoints within an epoch.
    progress : bool, str or display, default True
        Whether to show progress, a text to show first, or an object like those in `tinyae.training.progress`.
    on_start : function, optional
        Called as on_start() before anything is written to `out`, once no other run can use it.
    on_epoch : function, optional
        Called as on_epoch(model, record) after each epoch, for instance to write pictures.
    threads : int, optional
        Worker threads on the CPU, by default one for each core.

    Returns
    -------
    history : History
        A record for each epoch, the number of steps, the best epoch, and whether Ctrl-C interrupted the run.

    Raises
    ------
    DivergedError
        If a term becomes NaN or infinite. The last checkpoint is older.
    ConfigError, DataError, ShapeError
        If an option or the data do not suit the model.

    Example
    -------
    >>> import numpy as np
    >>> from tinyae.models import VAE
    >>> x = np.zeros((20, 4, 4, 1), np.float32)
    >>> fit(VAE(hidden=(8,), input_shape=(4, 4, 1)), x, epochs=3, batch_size=8, progress=False)
    History(3 epochs, 9 steps)
    """
    prepared = Prepared(
        model, data, test, batch_size=batch_size, validation=validation, standardize=standardize, binarize=binarize,
        without_class=without_class, seed=seed,
    )  # fmt: skip
    if resume and out is None:
        raise ConfigError("resume needs the run's folder: give out")
    settings = dict(
        batch_size=batch_size, optimizer=optimizer, lr=lr, schedule=schedule, warmup=warmup, clip_norm=clip_norm
    )
    settings |= prepared.settings
    if epsilon is not None:
        settings["epsilon"] = epsilon
    if schedule != "constant":
        settings["epochs"] = epochs  # the schedule depends on the length of the run
    trainer = Trainer(model, prepared, settings, epochs)
    if progress is True or isinstance(progress, str):
        progress = "\n".join([*prepared.notes, *([progress] if isinstance(progress, str) else [])]) or True
    if out is not None:
        trainer.check_saving(out)
    keep_freed_memory()
    with (
        contextlib.nullcontext() if out is None else Run(out, resume, overwrite) as run,
        workers(threads) if model.backend.name == "numpy" else contextlib.nullcontext() as team,
    ):
        if on_start is not None:
            on_start()
        return trainer.train(team, run, resume, checkpoint_every, progress, on_epoch)
