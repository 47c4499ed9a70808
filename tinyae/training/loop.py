"""The training loop. It knows nothing of any model but `step`, `store` and `state`.

Everything that a step depends on is a pure function of (seed, step) and of what a checkpoint holds, so a run that was
killed and resumed ends bit for bit where an uninterrupted one ends.
"""

import contextlib
import math
import os
import time

import numpy as np

from ..backend import operations
from ..backend.memory import keep_freed_memory
from ..checkpoint.files import content, json_ready
from ..checkpoint.schema import brief
from ..data import binarize as binarized
from ..data.examples import unit_range
from ..errors import CheckpointError, ConfigError, DivergedError
from ..optim import OPTIMIZERS, SCHEDULES
from ..optim import schedule as make_schedule
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
from ..wording import flag
from . import progress as progress_display
from .monitors import monitors_of
from .prepared import Prepared
from .run import LAST, Run
from .signals import stop_signals
from .step import Optimizers, Step, check_memory
from .workers import workers

LONG = 500  # steps before which a model's warnings mean nothing: sound trainings begin with a hundred of the same look
MOMENTA = {"sgd": "momentum", "adam": "beta1", "adamw": "beta1", "keras-adam": "beta1"}  # what optimisers call it

# Settings that the first runs did not keep, in words.
LATER = {"labels": "labels", "watched": "test data", "class_names": "class names"}


class History:
    """What `fit` returns: `records` (one per epoch, as in metrics.jsonl), `steps` done, `best` and `interrupted`.

    The record of an epoch lacks the terms of a phase that had no step in it, as a generator beside a critic may.

    unshown: the error that kept the progress from being shown to the end, or None.
    """

    def __init__(self, records, steps, best, interrupted, unshown=None):
        self.records, self.steps, self.best, self.interrupted = records, steps, best, interrupted
        self.unshown = unshown

    def __repr__(self):
        return f"History({len(self.records)} epochs, {self.steps} steps{', interrupted' if self.interrupted else ''})"


class _Trainable(Having):
    def implied(self, value, given):
        """How the model's source is trained. Epsilon is that of the source's optimiser alone."""
        options = getattr(getattr(value, "published", None), "fit", {})
        return {name: options[name] for name in options if name != "epsilon" or "optimizer" not in given}


class _Display(Kind):
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
    """Train a model; it is changed in place. Returns a History.

    data: a Dataset (its training part), a Split, x (N, ...), (x, labels) or {"x": ..., "labels": ...}; x and labels may
    be arrays, lists, tensors, a Series or a DataFrame, and are taken by position.
    epochs, batch_size: the last batch of an epoch may be short. optimizer: "adam", "adamw", "keras-adam" (as
    in Keras and TensorFlow), "rmsprop" or "sgd" (momentum 0.9); lr its rate, on a schedule ("constant", "step",
    "cosine") after `warmup` steps of linear rise. epsilon: what is added to the root that divides, of all but sgd; None
    takes 1e-8, of keras-adam 1e-7 (Keras has 1e-7 for rmsprop too, TensorFlow 1 has 1e-8 for Adam). Of a model with a
    `source`, batch_size, optimizer, lr and epsilon are the source's where they are not given, and epsilon counts in
    units of the source's loss.
    clip_norm: the gradient's global norm is clipped to it. validation: the share of the examples held out, by which
    the best epoch is chosen (without one: by a Dataset's own validation part, else by the training loss). test:
    examples whose loss is reported after each epoch and decides nothing; a Dataset's own test part if None.
    standardize: bring the columns of rows (N, D) to mean 0 and standard deviation 1 over the part that is trained on;
    the model keeps both (`Model.standardize`). binarize: draw every pixel as 0 or 1 with the grey value as the
    probability of 1, "static" once, "dynamic" anew in each epoch (what is watched, once). without_class: a label, or a
    class's name, whose examples are left out, for anomaly detection. seed: of the order, the split and the noise.

    out: a folder for checkpoints (last, previous, best) and metrics.jsonl. A used one is refused unless `resume` (go on
    where it stopped, bit for bit; settings and data must be the same) or `overwrite`. checkpoint_every: seconds between
    checkpoints within an epoch. progress: True, False, or a display (`tinyae.training.progress`). on_start():
    called once the folder is this run's, before it writes there. on_epoch(model, record): called after each epoch, e.g.
    for pictures. threads: worker threads on the CPU, by default the cores; the
    result is the same bits for any number (`tinyae.training.workers`).

    Ctrl-C finishes the step, saves and returns with `interrupted` set; a second one stops at once. Raises DivergedError
    if a term becomes NaN or infinite: the last checkpoint is from before.
    """
    prepared = Prepared(
        model, data, test, batch_size=batch_size, validation=validation, standardize=standardize, binarize=binarize,
        without_class=without_class, seed=seed,
    )  # fmt: skip
    if resume and out is None:
        raise ConfigError("resume needs the folder of the run: give out")
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


class Trainer:
    """One run: the model, its optimiser, the batches, and the position in them.

    data: the run's `Prepared`. settings: {name: value} that must be equal where the run is resumed; `fit` makes it.
    Raises ConfigError for a training that memory cannot hold, or an option that the optimiser lacks.
    """

    def __init__(self, model, data, settings, epochs):
        self.model, self.data, self.epochs, self.per_epoch = model, data, epochs, data.training.steps_per_epoch
        self.settings = json_ready(settings | {"watched": data.fingerprints})
        total = epochs * self.per_epoch
        self.phases, self.monitors = model.phases, monitors_of(model)
        self.optimizers = Optimizers(self.phases, lambda phase: _optimizer(settings, phase, total))
        check_memory(model, self.optimizers.each, min(settings["batch_size"], data.training.count))
        self.step, self.sums, self.best, self.records = 0, {}, None, []

    def train(self, team, run, resume, checkpoint_every, progress, on_epoch):
        per_epoch = self.per_epoch
        display = progress_display.make(progress, self.epochs * per_epoch)
        if resume:
            self._resume(run, display)
        self.model.class_names, self.model.trained_on = self.data.class_names, self.data.seen
        if self.model.backend.name == "numpy" and self.model.dtype == np.float32:
            operations.compile_now()  # before the clock runs, before there is a bar, and before anything is computed
        if self.step == 0:
            if self.data.standardization is not None:
                self.model.standardization = self.data.standardization
            first = self.model.backend.noise(self.settings["seed"]).child("begin")
            self.model.begin(self.data.training.evenly_spaced(self.model.begin_on), first)
        pairs = zip(self.phases, self.optimizers.each, strict=True)
        clip = self.settings["clip_norm"]
        self.steppers = [Step(self.model, optimizer, clip, team, phase) for phase, optimizer in pairs]
        saved = time.monotonic()
        try:
            display.skip(self.step)
            with stop_signals() as stop, np.errstate(all="ignore"):  # the loop itself looks for what is not finite
                while self.step < self.epochs * per_epoch and not stop.is_set():
                    epoch, within = divmod(self.step, per_epoch)
                    for batch in self.data.training.epoch(epoch, within):
                        self._train_step(batch, display)
                        if stop.is_set():
                            break
                        if run and time.monotonic() - saved > checkpoint_every and self.step % per_epoch:
                            self._save(run)
                            saved = time.monotonic()
                    if self.step % per_epoch == 0:
                        record = self._end_epoch(epoch + 1)
                        display.epoch(record)
                        for text in self._alarms(new=True):
                            display.message(f"epoch {record['epoch']}: {text}")
                        if run:
                            # The line first: a resumed run drops lines that are later than its checkpoint.
                            run.append(record)
                            self._save(run)
                            saved = time.monotonic()
                        if on_epoch is not None:
                            on_epoch(self.model, record)
                interrupted = stop.is_set() and self.step < self.epochs * per_epoch
                if interrupted and run:
                    if self.step % per_epoch:
                        self._save(run)
                    display.message(f"saved in {run.path}")
                if self.records and not interrupted:
                    late = self.step >= max(LONG, self.model.selection.after)
                    warnings = [text for monitor in self.monitors for text in monitor.warnings(self.records[-1])]
                    for text in (*self._alarms(new=False), *(warnings if late else ())):
                        display.message(text)
        finally:
            display.close()
        return History(self.records, self.step, self.best, interrupted, getattr(display, "lost", None))

    def _train_step(self, batch, display):
        """One step: for each phase forward and backward, a look at the loss, the update, the running statistics."""
        images, rng, shown = len(batch["x"]), self.model.backend.noise(self.settings["seed"], self.step), {}
        for stepper in self.steppers:
            if self.step % stepper.phase.every:
                continue
            terms = stepper.gradients(batch, rng)
            for name in sorted(terms, key="loss".__eq__):  # the parts first: they say more than their sum
                if not math.isfinite(terms[name]):
                    whose = f" of phase {stepper.phase.name}" if stepper.phase.name else ""
                    self._diverged(f"{name}{whose} is {terms[name]}", self.step + 1)
            stepper.update()
            for name, value in terms.items():
                total, count = self.sums.get(name, (0.0, 0))
                self.sums[name] = total + value * images, count + images
            shown |= terms
        if self.step == 0 and self.model.selection.term not in shown:  # the first step has every phase
            raise ConfigError(
                f"{self.model.name}: its step gives the terms {', '.join(shown) or 'of no name'}, and none is "
                f"{self.model.selection.term}, by which epochs are judged: name one so"
            )
        self.step += 1
        display.step(images, shown)

    def _end_epoch(self, epoch):
        """The epoch's record: means over its examples, the loss of the parts that are watched, and alarms."""
        self._check_parameters()
        record = {"epoch": epoch, "step": self.step, "lr": self.optimizers.rate()}
        record["train"] = {name: total / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        for part, feed in self.data.watched.items():
            record[part] = evaluate(self.model, feed, self.settings["seed"])
        watched = self.data.watched.get("validation", self.data.watched.get("test", self.data.training))
        batch = watched.evenly_spaced(self.model.chunk)
        for monitor in self.monitors:
            record |= monitor.report(batch)
            monitor.end_epoch()
        self.records.append(record)
        alarms = {name: text for monitor in self.monitors for name, text in monitor.alarms(self.records).items()}
        if alarms:
            record["alarms"] = alarms
        # None for a term of a phase that had no step in this epoch.
        judged = record.get("validation", record["train"]).get(self.model.selection.term)
        unsettled = self.best is None or self.model.selection.last or self._unsettled(self.best["step"])
        if unsettled or judged < self.best["loss"]:
            self.best = {"epoch": epoch, "step": self.step, "loss": judged}
        return record

    def _unsettled(self, step):
        """Whether the epoch that ended at a step was judged by a training loss that was still changing its meaning."""
        return "validation" not in self.data.watched and step - self.per_epoch < self.model.selection.after

    def _alarms(self, new):
        """The lines of the last epoch's alarms: those that the epoch before did not have, or those that it had."""
        before, now = (record.get("alarms", {}) for record in [{}, *self.records][-2:])
        return [text for name, text in now.items() if (name not in before) == new]

    def check_saving(self, folder):
        """CheckpointError, before the first step, for a model that no checkpoint can hold."""
        content(os.path.join(folder, LAST), self.model, self._position(), self.optimizers)

    def _save(self, run):
        self._check_parameters()
        run.save(self.model, self._position(), self.optimizers)

    def _position(self):
        names = ("step", "sums", "best", "settings", "epochs")
        return {name: getattr(self, name) for name in names} | {"origin": self.data.origin}

    def _resume(self, run, display):
        """Go on where the run's newest checkpoint is; where that is refused, nothing is changed."""
        found = run.newest(display.message, type(self.model))
        if found is None:
            return
        position = found.training
        if position is None:
            raise CheckpointError(f"{found.path} holds a model, not a run: it cannot be resumed")
        self._compare(position)
        if bool(position["sums"]) != bool(position["step"] % self.per_epoch):
            raise CheckpointError(f"{found.path} is damaged: its sums are not those of step {position['step']}")
        found.check(self.model)
        self.optimizers.load_state(found.optimizer_state(), self.model.store)
        found.restore(self.model)
        self.step, self.sums, self.best = position["step"], position["sums"], position["best"]
        self.records = run.records(self.step, display.message, self.step // self.per_epoch)
        if found.path == run.file(LAST):
            run.mark_best(position)

    def _compare(self, position):
        """ConfigError unless the run has the same settings and the same data; its files may be older than a setting."""
        before, now = position["settings"], self.settings
        # A schedule keeps the epochs, too: where it is another, they say less.
        for name in sorted(before.keys() | now.keys(), key=lambda name: (name in LATER, name == "epochs", name)):
            if before.get(name) != now.get(name) and not (name in LATER and name not in before):
                what = LATER.get(name) or flag(brief(name)[1:-1])
                raise ConfigError(
                    f"cannot resume: the run has {what} {brief(before.get(name))}, now it is {brief(now.get(name))}; "
                    "use the same, or start a new run in another folder"
                )

    def _check_parameters(self):
        """DivergedError if the last update left any that is not finite, or a state that is not."""
        for what, store in (("parameters are", self.model.store), ("the running state is", self.model.state)):
            if not self._finite(store.flat):
                self._diverged(f"{what} not finite", self.step)

    def _finite(self, array):
        return array.size == 0 or bool(np.isfinite(self.model.backend.to_host(abs(array).max())))

    def _diverged(self, what, step):
        """Moments tell whose gradient it was that was not finite; whatever else is not finite comes of that."""
        for phase, optimizer in zip(self.phases, self.optimizers.each, strict=True):
            if not all(self._finite(moment) for moment in optimizer.arrays.values()):
                what += f", after a gradient{' of phase ' * bool(phase.name)}{phase.name} that was not finite"
                break
        raise DivergedError(
            f"training diverged at step {step} (epoch {(step - 1) // self.per_epoch + 1}): {what}; what was "
            f"saved is from before. {self._advice()}"
        )

    def _advice(self):
        """What helps against divergence: columns of any scale make any rate too high for some of them."""
        table = len(self.model.input_shape) == 1 and self.data.training.x.dtype.kind == "f"
        if table and self.model.standardization is None and unit_range(self.model) is None:
            return f"Standardise the columns ({flag('standardize', True)}); a lower {flag('lr')} alone hardly helps"
        clipped = self.settings["clip_norm"] is not None
        return f"Try a lower {flag('lr')}" + ("" if clipped else f", or clip the gradient ({flag('clip_norm', 1)})")


def evaluate(model, feed, seed):
    """The terms in evaluation mode, averaged over all of a feed's examples, as floats. The noise is that of `seed`."""

    def noise(index):
        return model.backend.noise(seed, index).child("evaluate")

    return model.evaluate(feed.in_order(model.chunk), feed.count, noise)


def _optimizer(settings, phase, steps):
    """The optimiser of a phase in a run of so many steps."""
    name = settings["optimizer"]
    rate = make_schedule(settings["schedule"], settings["lr"] * phase.rate, phase.updates(steps), settings["warmup"])
    constants = {MOMENTA[name]: phase.momentum} if name in MOMENTA else {}
    if "epsilon" in settings:
        if name == "sgd":
            raise ConfigError(f"{flag('epsilon')}: sgd has none, leave it out")
        constants["epsilon"] = settings["epsilon"] * phase.scale
    return OPTIMIZERS[name](rate, **constants)
