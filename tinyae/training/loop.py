"""The training loop: steps, epochs, checkpoints, and the selection of the best epoch.

A step depends only on (seed, step) and on the contents of a checkpoint, so a run that is killed and resumed ends with
the same bits as an uninterrupted one.
"""

import math
import os
import time

import numpy as np

from ..backend import operations
from ..checkpoint.files import content, json_ready
from ..checkpoint.schema import brief
from ..data.examples import unit_range
from ..errors import CheckpointError, ConfigError, DivergedError
from ..optim import OPTIMIZERS
from ..optim import schedule as make_schedule
from ..wording import flag
from . import progress as progress_display
from .monitors import monitors_of
from .run import LAST
from .signals import stop_signals
from .step import Optimizers, Step, check_memory

LONG = 500  # steps before which a monitor's warnings are not shown: healthy runs can look the same at the start
# {optimiser: the name of its argument for momentum}.
MOMENTA = {"sgd": "momentum", "adam": "beta1", "adamw": "beta1", "keras-adam": "beta1"}

# {setting that older checkpoints lack: its name in messages}.
LATER = {"labels": "labels", "watched": "test data", "class_names": "class names"}


class History:
    """The result of `fit`.

    records      one dict per epoch, as in metrics.jsonl; the terms of a phase are missing if it had no step in an epoch
    steps        the number of steps done
    best         {"epoch": ..., "step": ..., "loss": ...} of the best epoch
    interrupted  whether Ctrl-C stopped the run
    unshown      the error that stopped the progress display, or None
    """

    def __init__(self, records, steps, best, interrupted, unshown=None):
        self.records, self.steps, self.best, self.interrupted = records, steps, best, interrupted
        self.unshown = unshown

    def __repr__(self):
        return f"History({len(self.records)} epochs, {self.steps} steps{', interrupted' if self.interrupted else ''})"


class Trainer:
    """One run: a model, its optimisers, its data, and the position in the run.

    data: the run's `Prepared`. settings: {name: value} of options that a resumed run must have, too. Raises ConfigError
    if the memory is too small, or for an option that the optimiser lacks.
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
        """Run all steps, or the rest of them; returns `History`. team: `Workers` or None. run: `Run` or None."""
        per_epoch = self.per_epoch
        display = progress_display.make(progress, self.epochs * per_epoch)
        if resume:
            self._resume(run, display)
        self.model.class_names, self.model.trained_on = self.data.class_names, self.data.seen
        if self.model.backend.name == "numpy" and self.model.dtype == np.float32:
            operations.compile_now()  # before the time is measured and the progress bar is shown
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
            with stop_signals() as stop, np.errstate(all="ignore"):  # the loop itself checks for NaN and infinity
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
                            # The line comes first: a resumed run removes lines that are newer than its checkpoint.
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
        """One step: for each phase the gradients, a check that all terms are finite, and the update."""
        images, rng, shown = len(batch["x"]), self.model.backend.noise(self.settings["seed"], self.step), {}
        for stepper in self.steppers:
            if self.step % stepper.phase.every:
                continue
            terms = stepper.gradients(batch, rng)
            for name in sorted(terms, key="loss".__eq__):  # the loss comes last: a single term says more
                if not math.isfinite(terms[name]):
                    whose = f" of phase {stepper.phase.name}" if stepper.phase.name else ""
                    self._diverged(f"{name}{whose} is {terms[name]}", self.step + 1)
            stepper.update()
            for name, value in terms.items():
                total, count = self.sums.get(name, (0.0, 0))
                self.sums[name] = total + value * images, count + images
            shown |= terms
        if self.step == 0 and self.model.selection.term not in shown:  # all phases take part in the first step
            raise ConfigError(
                f"{self.model.name}: epochs are selected by the term {self.model.selection.term}, and its step returns "
                f"{', '.join(shown) or 'no terms'}: return a term of that name"
            )
        self.step += 1
        display.step(images, shown)

    def _end_epoch(self, epoch):
        """The epoch's record: mean terms over its examples and over the watched splits, reports and alarms."""
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
        # The value is None if the term's phase had no step in this epoch.
        judged = record.get("validation", record["train"]).get(self.model.selection.term)
        unsettled = self.best is None or self.model.selection.last or self._unsettled(self.best["step"])
        if unsettled or judged < self.best["loss"]:
            self.best = {"epoch": epoch, "step": self.step, "loss": judged}
        return record

    def _unsettled(self, step):
        """Whether the best epoch, which ended at `step`, has a training loss that was still being redefined."""
        return "validation" not in self.data.watched and step - self.per_epoch < self.model.selection.after

    def _alarms(self, new):
        """Messages of the last epoch's alarms. new: whether those that are new in it, or those that are not."""
        before, now = (record.get("alarms", {}) for record in [{}, *self.records][-2:])
        return [text for name, text in now.items() if (name not in before) == new]

    def check_saving(self, folder):
        """Raise CheckpointError, before the first step, if the model cannot be saved in a checkpoint."""
        content(os.path.join(folder, LAST), self.model, self._position(), self.optimizers)

    def _save(self, run):
        self._check_parameters()
        run.save(self.model, self._position(), self.optimizers)

    def _position(self):
        names = ("step", "sums", "best", "settings", "epochs")
        return {name: getattr(self, name) for name in names} | {"origin": self.data.origin}

    def _resume(self, run, display):
        """Restore the run's newest checkpoint. If it is refused, nothing is changed."""
        found = run.newest(display.message, type(self.model))
        if found is None:
            return
        position = found.training
        if position is None:
            raise CheckpointError(f"{found.path} holds a model, not a run: it cannot be resumed")
        self._compare(position)
        if bool(position["sums"]) != bool(position["step"] % self.per_epoch):
            raise CheckpointError(f"{found.path} is corrupted: its sums do not belong to step {position['step']}")
        found.check(self.model)
        self.optimizers.load_state(found.optimizer_state(), self.model.store)
        found.restore(self.model)
        self.step, self.sums, self.best = position["step"], position["sums"], position["best"]
        self.records = run.records(self.step, display.message, self.step // self.per_epoch)
        if found.path == run.file(LAST):
            run.mark_best(position)

    def _compare(self, position):
        """Raise ConfigError unless the resumed run has the same settings and data. Old runs may lack a setting."""
        before, now = position["settings"], self.settings
        # A changed schedule also changes "epochs", which would be the less helpful message: it is compared later.
        for name in sorted(before.keys() | now.keys(), key=lambda name: (name in LATER, name == "epochs", name)):
            if before.get(name) != now.get(name) and not (name in LATER and name not in before):
                what = LATER.get(name) or flag(brief(name)[1:-1])
                raise ConfigError(
                    f"cannot resume: the run has {what} {brief(before.get(name))}, now it is {brief(now.get(name))}: "
                    "use the same, or start a new run in another folder"
                )

    def _check_parameters(self):
        """Raise DivergedError if a parameter or a number of the running state is not finite."""
        for what, store in (("parameters are", self.model.store), ("the running state is", self.model.state)):
            if not self._finite(store.flat):
                self._diverged(f"{what} not finite", self.step)

    def _finite(self, array):
        return array.size == 0 or bool(np.isfinite(self.model.backend.to_host(abs(array).max())))

    def _diverged(self, what, step):
        """Raise DivergedError. A moment that is not finite shows which phase's gradient was the cause."""
        for phase, optimizer in zip(self.phases, self.optimizers.each, strict=True):
            if not all(self._finite(moment) for moment in optimizer.arrays.values()):
                what += f", after a gradient{' of phase ' * bool(phase.name)}{phase.name} that was not finite"
                break
        raise DivergedError(
            f"training diverged at step {step} (epoch {(step - 1) // self.per_epoch + 1}): {what}. Saved checkpoints "
            f"are from before. {self._advice()}"
        )

    def _advice(self):
        """Advice against divergence. If the scales of table columns differ much, no learning rate suits all of them."""
        table = len(self.model.input_shape) == 1 and self.data.training.x.dtype.kind == "f"
        if table and self.model.standardization is None and unit_range(self.model) is None:
            return f"Standardise the columns ({flag('standardize', True)}); a lower {flag('lr')} alone hardly helps"
        clipped = self.settings["clip_norm"] is not None
        return f"Try a lower {flag('lr')}" + ("" if clipped else f", or clip the gradient ({flag('clip_norm', 1)})")


def evaluate(model, feed, seed):
    """{name: float} of a model's terms in evaluation mode, averaged over all examples of a `Feed`."""

    def noise(index):
        return model.backend.noise(seed, index).child("evaluate")

    return model.evaluate(feed.in_order(model.chunk), feed.count, noise)


def _optimizer(settings, phase, steps):
    """The optimiser of a phase, in a run of `steps` steps."""
    name = settings["optimizer"]
    rate = make_schedule(settings["schedule"], settings["lr"] * phase.rate, phase.updates(steps), settings["warmup"])
    constants = {MOMENTA[name]: phase.momentum} if name in MOMENTA else {}
    if "epsilon" in settings:
        if name == "sgd":
            raise ConfigError(f"{flag('epsilon')}: sgd has no epsilon, leave it out")
        constants["epsilon"] = settings["epsilon"] * phase.scale
    return OPTIMIZERS[name](rate, **constants)
